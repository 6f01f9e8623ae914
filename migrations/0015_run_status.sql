-- What the states of a run mean: a mart is also skipped because of another one.

comment on column etl_runs.status is 'running; success; failed: an error; held: its audit kept the old rows; partial: its audit kept some of them; skipped: left out because of another mart of the run, which error names.';
