-- The policies of readers and the loader ask for the session's organisation once for each statement. As an expression of the
-- row, marts_org_id() was made anew for each row that the loader wrote, and cost a tenth of the writing.

do $$
declare
    old record;
begin
    for old in
        select
            polname,
            polrelid::regclass as of_table,
            regexp_replace(pg_get_expr(polqual, polrelid), 'marts_org_id\(\)', '(select marts_org_id())') as uses,
            polwithcheck is not null as checks
        from pg_policy
        join pg_class on pg_class.oid = polrelid
        where
            relnamespace = current_schema()::regnamespace
            and pg_get_expr(polqual, polrelid) in ('(org_id = marts_org_id())', '(id = marts_org_id())')
    loop
        execute format(
            'alter policy %I on %s using %s %s',
            old.polname,
            old.of_table,
            old.uses,
            case when old.checks then 'with check ' || old.uses else '' end
        );
    end loop;
end
$$;
