-- The change ledger is only ever appended to, a line for each cell of a night: what each line costs is what a large publish
-- costs.

-- Lines of a run lie together, so that a summary of each stretch of the table finds them. As a B-tree this index took a tenth
-- of the writing.
drop index etl_changes_by_run;
create index etl_changes_by_run on etl_changes using brin (run_id) with (pages_per_range = 32, autosummarize = on);

-- Looking the organisation up again for each line took a quarter of the writing. The transaction that writes the lines has
-- found it, and rows of the organisation in the marts, which refer to it, keep it from being deleted meanwhile.
alter table etl_changes drop constraint etl_changes_org_id_fkey;

comment on column etl_changes.org_id is 'The organisation of the row, number of organizations.';
