//! THE TABLE of attacks: what a reader of one organisation may try in order to learn of another, and what comes of it.
//!
//! Two organisations have marked figures: the amounts of globex are 666.66, its texts SECRET. Each attack runs as a user
//! who is a member of `marts_reader` and nothing else, with the setting of acme unless it says otherwise; whatever it answers
//! or is refused with, nothing of globex may be in it. Temporary objects of its own Postgres lets everybody make.

use marts::jobs::JOBS;

use super::database::TestDatabase;

/// What must come of an attack.
enum Comes {
    /// These values, by the last statement that returns rows.
    Answers(&'static [&'static str]),
    /// An error that holds this text.
    Refused(&'static str),
}
use Comes::{Answers, Refused};

/// Name, statements, and what must come of them. `$other` is the other organisation's id.
const ATTACKS: &[(&str, &str, Comes)] = &[
    ("its own rows", "select total_revenue from mart_sales_daily", Answers(&["100.00"])),
    ("no setting", "reset marts.org_id; select count(*) from mart_sales_daily", Answers(&["0"])),
    ("an empty setting", "set local marts.org_id = ''; select count(*) from mart_sales_daily", Answers(&["0"])),
    (
        "a senseless setting",
        "set local marts.org_id = '1 or true'; select count(*) from mart_sales_daily",
        Answers(&["0"]),
    ),
    ("two settings", "set local marts.org_id = '1,2'; select count(*) from mart_sales_daily", Answers(&["0"])),
    (
        "a setting with a newline",
        "set local marts.org_id = E'1\n'; select count(*) from mart_sales_daily",
        Answers(&["0"]),
    ),
    ("asking for the other", "select count(*) from mart_sales_daily where org_id = $other", Answers(&["0"])),
    ("asking for all others", "select count(*) from mart_sales_daily where org_id <> marts_org_id()", Answers(&["0"])),
    (
        "a condition that is always true",
        "select count(*) from mart_sales_daily where org_id = 1 or true",
        Answers(&["1"]),
    ),
    (
        "division by zero in a filter",
        "select count(*) from mart_sales_daily where 1 / (total_revenue - 666.66) < 9",
        Answers(&["1"]),
    ),
    ("a cast that fails in a filter", "select count(*) from etl_changes where new_value::numeric > 0", Answers(&["0"])),
    (
        "a cast that fails in a join",
        "select count(*) from etl_changes c join mart_sales_daily m on c.new_value::numeric = m.total_revenue",
        Answers(&["0"]),
    ),
    (
        "a cheap function of its own",
        "create function pg_temp.leak(numeric) returns boolean language plpgsql cost 0.0000001 as
        'begin if $1 <> 100 then raise exception ''seen %'', $1; end if; return true; end';
        select count(*) from mart_sales_daily where pg_temp.leak(total_revenue)",
        Answers(&["1"]),
    ),
    (
        "a cheap cast of its own",
        "create function pg_temp.number(text) returns boolean language sql cost 0.0000001 as
        'select $1::numeric > 0'; select count(*) from etl_changes where pg_temp.number(new_value)",
        Answers(&["0"]),
    ),
    (
        "a cheap operator in a filter",
        "select count(*) from etl_runs where error ~ 'SECRET' or error like '%SECRET%'",
        Answers(&["0"]),
    ),
    (
        "a view of its own",
        "create temporary view v as select * from mart_sales_daily; select count(*) from v",
        Answers(&["1"]),
    ),
    ("a view of the owner", "select count(*) from owners_view", Answers(&["1"])),
    (
        "a join of the mart with itself",
        "select count(*) from mart_sales_daily a full join mart_sales_daily b on true",
        Answers(&["1"]),
    ),
    (
        "a lateral join",
        "select count(*) from organizations o cross join lateral (select * from mart_sales_daily m where m.org_id = o.id or true) x",
        Answers(&["1"]),
    ),
    (
        "a recursive query",
        "with recursive r as (select org_id, total_revenue from mart_sales_daily union select * from r) select count(*) from r",
        Answers(&["1"]),
    ),
    ("a window over everybody", "select sum(total_revenue) over () from mart_sales_daily", Answers(&["100.00"])),
    ("the newest of everybody", "select max(total_revenue) from mart_sales_daily", Answers(&["100.00"])),
    (
        "an index scan only",
        "set local enable_seqscan = off; select max(org_id) - marts_org_id() from mart_sales_daily",
        Answers(&["0"]),
    ),
    ("the whole row as text", "select count(*) from mart_sales_daily m where m::text like '%666.66%'", Answers(&["0"])),
    (
        "the whole table as XML or JSON",
        "select json_agg(m)::text like '%666.66%' from mart_sales_daily m",
        Answers(&["f"]),
    ),
    (
        "a query by text",
        "select query_to_xml('select * from mart_sales_daily', true, true, '')::text like '%666.66%'",
        Answers(&["f"]),
    ),
    (
        "a table by text",
        "select table_to_xml('mart_sales_daily', true, true, '')::text like '%666.66%'",
        Answers(&["f"]),
    ),
    (
        "locking rows",
        "select count(*) from (select 1 from mart_sales_daily for update) x",
        Refused("permission denied"),
    ),
    ("a sample", "select count(*) from mart_sales_daily tablesample system (100)", Answers(&["1"])),
    ("a row by its place", "select count(*) from mart_sales_daily where ctid = '(0,2)'", Answers(&["0"])),
    (
        "a cursor across a change of the setting",
        "declare c cursor for select total_revenue from mart_sales_daily; reset marts.org_id; fetch all from c",
        Answers(&[]),
    ),
    (
        "a prepared statement across a change",
        "prepare p as select count(*) from mart_sales_daily; execute p; reset marts.org_id; execute p",
        Answers(&["0"]),
    ),
    (
        "a generic plan",
        "set local plan_cache_mode = force_generic_plan; prepare g as select count(*) from mart_sales_daily where org_id = $1; execute g($other)",
        Answers(&["0"]),
    ),
    (
        "switching row-level security off",
        "set local row_security = off; select count(*) from mart_sales_daily",
        Refused("row-level security"),
    ),
    ("dropping the policy", "drop policy reader on mart_sales_daily", Refused("must be owner")),
    ("altering the policy", "alter policy reader on mart_sales_daily using (true)", Refused("must be owner")),
    ("disabling the policies", "alter table mart_sales_daily disable row level security", Refused("must be owner")),
    (
        "replacing the function of the policies",
        "create or replace function marts_org_id() returns integer language sql as 'select $other'",
        Refused("permission denied"),
    ),
    (
        "shadowing the function of the policies",
        "create function pg_temp.marts_org_id() returns integer language sql as 'select $other';
        set local search_path = pg_temp, public; select total_revenue from mart_sales_daily",
        Answers(&["100.00"]),
    ),
    (
        "shadowing the table",
        "create temporary table mart_sales_daily (org_id integer); select count(*) from mart_sales_daily",
        Answers(&["0"]),
    ),
    (
        "a temporary table that inherits",
        "create temporary table child () inherits (mart_sales_daily)",
        Refused("must be owner"),
    ),
    ("a table that inherits", "create table child () inherits (mart_sales_daily)", Refused("permission denied")),
    ("a table in the schema", "create table mart_other (org_id integer)", Refused("permission denied")),
    (
        "probing the foreign key",
        "create table probe (o integer references organizations (id))",
        Refused("permission denied"),
    ),
    (
        "inserting for the other",
        "insert into mart_sales_daily (org_id, sales_date, year, month) values ($other, '2026-01-20', 1, 1)",
        Refused("permission denied"),
    ),
    (
        "probing by a conflict",
        "insert into organizations (slug, name, timezone, fiscal_year_start_month) values ('globex', '', '', 1) on conflict do nothing",
        Refused("permission denied"),
    ),
    ("merging", "update mart_sales_daily set total_revenue = 0 where org_id = $other", Refused("permission denied")),
    (
        "becoming the admin or the loader",
        "select pg_has_role(current_user, 'marts_admin', 'member') or pg_has_role(current_user, 'marts_loader', 'member')",
        Answers(&["f"]),
    ),
    (
        "statistics of columns",
        "select count(*) from pg_stats where tablename like 'mart%' and schemaname = current_schema()",
        Answers(&["0"]),
    ),
    (
        "statistics of a ledger",
        "select count(*) from pg_stats where tablename
             in ('etl_alerts', 'etl_changes', 'etl_runs', 'etl_acceptances', 'organizations', 'oauth_tokens')",
        Answers(&["0"]),
    ),
    ("statistics below the view", "select count(*) from pg_statistic", Refused("permission denied")),
    (
        "statistics that are extended",
        "select count(*) from pg_stats_ext where tablename = 'mart_sales_daily'",
        Answers(&["0"]),
    ),
    ("extended statistics below the view", "select count(*) from pg_statistic_ext_data", Refused("permission denied")),
    ("the sequence of ids", "select last_value from mart_sales_daily_id_seq", Refused("permission denied")),
    ("the sequence of organisations", "select nextval('organizations_id_seq')", Refused("permission denied")),
    (
        "the list of sequences",
        "select count(*) from pg_sequences where schemaname = current_schema() and last_value is not null",
        Answers(&["0"]),
    ),
    ("copying the table out", "copy mart_sales_daily to '/tmp/x'", Refused("pg_write_server_files")),
    ("copying to a program", "copy (select 1) to program 'true'", Refused("pg_execute_server_program")),
    ("reading a file of the server", "select pg_read_file('postgresql.conf')", Refused("permission denied")),
    (
        "reading the table's file",
        "select pg_read_binary_file(pg_relation_filepath('mart_sales_daily'))",
        Refused("permission denied"),
    ),
    ("large objects", "select count(*) from pg_largeobject", Refused("permission denied")),
    ("the tokens", "select * from oauth_tokens", Refused("permission denied")),
    ("how many tokens there are", "select count(*) from oauth_tokens", Refused("permission denied")),
    ("the migrations", "select * from _sqlx_migrations", Refused("permission denied")),
    ("names of the other organisation", "select string_agg(slug, ' ') from organizations", Answers(&["acme"])),
    (
        "runs of the other",
        "select count(*) from etl_runs where detail::text like '%SECRET%' or error like '%SECRET%'",
        Answers(&["0"]),
    ),
    (
        "acceptances of the other",
        "select count(*) from etl_acceptances where reason like '%SECRET%' or accepted_by like '%SECRET%'",
        Answers(&["0"]),
    ),
    ("acceptances of its own", "select reason from etl_acceptances", Answers(&["mine"])),
    ("alerts of the other", "select count(*) from etl_alerts where job like '%SECRET%'", Answers(&["0"])),
    ("changes of the other", "select count(*) from etl_changes where new_value like '%SECRET%'", Answers(&["0"])),
    (
        "verifications of the other",
        "select count(*) from etl_verifications where error like '%SECRET%'",
        Answers(&["0"]),
    ),
    (
        "a trigger",
        "create trigger t before insert on mart_sales_daily execute function suppress_redundant_updates_trigger()",
        Refused("permission denied"),
    ),
    ("a rule", "create rule r as on select to mart_sales_daily do instead select 1", Refused("must be owner")),
    ("a comment on it", "comment on table mart_sales_daily is 'x'", Refused("must be owner")),
    ("a publication", "create publication p for table mart_sales_daily", Refused("permission denied")),
    (
        "analysing it",
        "select 1; analyze mart_sales_daily; select count(*) from pg_stats where tablename = 'mart_sales_daily'",
        Answers(&["0"]),
    ),
];

/// Fills every table for both organisations, gives the planner statistics, and makes the owner's view.
async fn filled() -> Vec<TestDatabase> {
    let all = TestDatabase::each().await;
    for test in &all {
        for (org, amount, text) in [(test.acme.id, "100", "mine"), (test.globex.id, "666.66", "SECRET")] {
            let mut sql = format!("begin; set local role marts_loader; set local marts.org_id = '{org}';");
            for job in marts::jobs::JOBS {
                sql += &insert(test, job.mart, org, amount).await;
            }
            sql += &format!(
                "insert into etl_runs (run_id, org_id, job, mart, as_of, status, tool_version, error, detail)
                 values ('r', {org}, 'j', 'mart_sales_daily', '2026-01-20', 'success', '0', '{text}', '{{\"x\": \"{text}\"}}');
                 insert into etl_changes (run_id, org_id, mart, key, column_name, new_value)
                 values ('r', {org}, 'mart_sales_daily', '{{}}', 'c', case '{text}' when 'SECRET' then 'SECRET' end);
                 insert into etl_acceptances (run_id, accepted_run, org_id, mart, periods, reason, accepted_by)
                 values ('r', 'q', {org}, 'mart_sales_daily', '{{2026-01-20}}', '{text}', '{text}');
                 insert into etl_verifications (verification_id, org_id, job, mart, period, column_name, outcome, error,
                     asked_at, tool_version)
                 values ('v', {org}, 'j', 'mart_sales_daily', '2026-01-20', 'c', 'unanswered', '{text}', now(), '0');
                 insert into etl_alerts (org_id, job, kind, since, opened_at) values ({org}, '{text}', 'late', now(), now());
                 insert into oauth_tokens (org_id, connector, ciphertext, seed_fingerprint, issued_at)
                 values ({org}, '{text}', '{text}', '{text}', now()); commit;"
            );
            test.get().execute(&sql).await.unwrap();
        }
        let owners = "create view owners_view with (security_barrier) as
                select * from mart_sales_daily where org_id = marts_org_id();
            grant select on owners_view to marts_reader; analyze";
        test.get().execute(owners).await.unwrap();
    }
    all
}

/// A row of a mart: the amount in every decimal column, the day in every date, a one everywhere else that must be filled.
async fn insert(test: &TestDatabase, mart: &str, org: i32, amount: &str) -> String {
    let columns = test
        .values(&format!(
            "select column_name || '=' || data_type from information_schema.columns
             where table_schema = current_schema() and table_name = '{mart}' and column_name <> 'id'
               and (is_nullable = 'NO' or data_type = 'numeric' and numeric_precision = 18)"
        ))
        .await;
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for column in &columns {
        let (name, kind) = column.split_once('=').unwrap();
        names.push(name);
        values.push(match (name, kind) {
            ("org_id", _) => org.to_string(),
            (_, "numeric") => amount.to_owned(),
            (_, "date") => "date '2026-01-20'".to_owned(),
            _ => "1".to_owned(),
        });
    }
    format!("insert into {mart} ({}) values ({});", names.join(", "), values.join(", "))
}

#[tokio::test]
async fn no_attack_shows_a_reader_anything_of_another_organisation() {
    for test in filled().await {
        let attacker = format!("attacker_{:08x}", rand::random::<u32>());
        test.get().execute(&format!("create role {attacker}; grant marts_reader to {attacker}")).await.unwrap();
        let mut wrong = Vec::new();
        for (name, sql, comes) in ATTACKS {
            let sql = sql.replace("$other", &test.globex.id.to_string());
            let acme = test.acme.id;
            let sql = format!("begin; set local role {attacker}; set local marts.org_id = '{acme}'; {sql}");
            let answered = test.get().execute(&sql).await;
            let told = match &answered {
                Ok(answers) => format!("{answers:?}"),
                Err(error) => format!("{error:#}"),
            };
            let fits = match (comes, &answered) {
                (Answers(expected), Ok(answers)) => {
                    let last = answers.iter().rev().find(|answer| !answer.columns.is_empty());
                    let rows = last.map(|answer| answer.rows.as_slice()).unwrap_or_default();
                    let first: Vec<_> = rows.iter().map(|row| row[0].clone().unwrap_or_default()).collect();
                    first == *expected
                }
                (Refused(text), Err(_)) => told.contains(text),
                _ => false,
            };
            // The embedded server speaks no XML.
            let fits = fits || told.contains("built with libxml");
            if !fits || told.contains("666.66") || told.contains("SECRET") && !sql.contains("SECRET") {
                wrong.push(format!("{name}: {told}"));
            }
            test.get().execute("rollback; deallocate all").await.unwrap();
        }
        test.get().execute(&format!("revoke marts_reader from {attacker}; drop role {attacker}")).await.unwrap();
        assert!(wrong.is_empty(), "{} of {} attacks: {wrong:#?}", wrong.len(), ATTACKS.len());
        let server = if test.is_real() { "a server" } else { "the embedded server" };
        crate::faults::ground::figure(&format!("attack attempts refused, on {server}"), ATTACKS.len());
    }
}

/// Every table that says whose its rows are, whether we thought of it here or not.
#[tokio::test]
async fn every_table_of_organisations_shows_a_reader_its_own_rows_alone() {
    for test in filled().await {
        let tables = test
            .values(
                "select distinct table_name::text from information_schema.columns
                 where table_schema = current_schema() and column_name = 'org_id' and table_name <> 'owners_view'",
            )
            .await;
        assert!(tables.len() >= 16, "nine marts, four ledgers, the alerts, the tokens, the freshness: {tables:?}");
        for table in tables {
            for (setting, expected) in [(test.acme.id.to_string(), "1"), (String::new(), "0"), ("0".into(), "0")] {
                let sql = format!(
                    "begin; set local role marts_reader; set local marts.org_id = '{setting}'; select count(*) from {table}"
                );
                if table == "oauth_tokens" {
                    assert!(test.refusal(&sql).await.contains("permission denied"), "{table}");
                } else {
                    // It has a row for each mart.
                    let marts = JOBS.len().to_string();
                    let expected = if table == "mart_freshness" && expected == "1" { &marts } else { expected };
                    assert_eq!(test.value(&format!("{sql}; rollback")).await, expected, "{table} with {setting:?}");
                }
            }
            // What the planner expects says nothing either: it is told to a reader for its own rows only when it has run.
            let sql =
                // A view of ours names the organisation itself.
                format!("select relkind = 'v' or relrowsecurity and relforcerowsecurity from pg_class where oid = '{table}'::regclass");
            assert_eq!(test.value(&sql).await, "t", "{table}");
        }
    }
}
