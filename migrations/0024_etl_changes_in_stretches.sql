-- Lines of a run lie together in the change ledger, and within it those of an organisation and mart: a summary of each stretch
-- of the table finds them. Two B-trees took a quarter of the writing.
--
-- https://www.postgresql.org/docs/current/brin.html

drop index etl_changes_by_run;
drop index etl_changes_by_mart;
create index etl_changes_by_run on etl_changes using brin (run_id, org_id, mart, changed_at) with (pages_per_range = 8);

-- Stretches are summarised as the table is vacuumed, which is otherwise done when it has grown by a fifth. (Asked for with
-- each stretch, by autosummarize, a large publish fills the server's log with requests that nobody had time for.)
alter table etl_changes set (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000);

-- Numbers are handed out a thousand at a time, which takes a sixth of the writing less. The loader throws away what its session
-- has left of them when it begins, so that the lines of a cell are still in the order of recording.
alter sequence etl_changes_id_seq cache 1000;
