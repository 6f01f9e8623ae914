-- The three roles, and the organisation that the session speaks for.
--
--   marts_reader  reads the rows of the organisation named by the setting marts.org_id, and of no other
--   marts_admin   reads every organisation
--   marts_loader  writes the rows of the organisation named by marts.org_id; can neither delete nor truncate
--
-- Roles belong to the whole server: another database may have made them already, or be making them right now. Every
-- step therefore looks first, and whoever loses a race looks again. (The embedded server cannot catch an error in
-- PL/pgSQL, but having one connection it loses no race.)

do $$
declare
    wanted text;
    -- From 16 on, being a member and being allowed to `set role` are two things.
    membership text := case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end;
begin
    foreach wanted in array array['marts_reader', 'marts_admin', 'marts_loader'] loop
        for attempt in 1..20 loop
            begin
                if not exists (select from pg_roles where rolname = wanted) then
                    execute format('create role %I nologin', wanted);
                end if;
                if not pg_has_role(current_user, wanted, membership) then
                    execute format('grant %I to %I', wanted, current_user);
                end if;
                exit;
            exception
                when insufficient_privilege then
                    raise exception 'role % cannot be made or used by %: as a superuser, run: create role % nologin; grant % to %;',
                        wanted, current_user, wanted, wanted, current_user using errcode = 'insufficient_privilege';
                -- The last one is how the catalog says "tuple concurrently updated".
                when duplicate_object or unique_violation or internal_error then
                    if attempt = 20 then
                        raise;
                    end if;
                    perform pg_sleep(0.02 * attempt);
            end;
        end loop;
    end loop;

    execute format('grant usage on schema %I to marts_reader, marts_admin, marts_loader', current_schema());
    execute format('grant temporary on database %I to marts_loader', current_database());
end
$$;

-- The organisation of the session, or null, which equals nothing: a missing, empty or senseless setting sees no rows
-- and raises no error. Nine digits always fit an integer.
create function marts_org_id() returns integer
    language sql stable parallel safe
    return case
        when current_setting('marts.org_id', true) ~ '^[0-9]{1,9}$' then current_setting('marts.org_id', true)::integer
    end;

comment on function marts_org_id() is 'The organisation in the setting marts.org_id; null when it names none.';
