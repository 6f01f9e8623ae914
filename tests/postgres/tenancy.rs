//! Attempts of one organisation to see or touch another's rows.

use sqlx::Connection;

use super::database::TestDatabase;

/// A day of sales for each organisation, 100.00 and 200.00.
async fn filled() -> Vec<TestDatabase> {
    let all = TestDatabase::each().await;
    for test in &all {
        let (acme, globex) = (test.acme.id, test.globex.id);
        // As the loader, each under its own name: not even the owner may write otherwise.
        for (org, amount) in [(acme, 100), (globex, 200)] {
            test.get()
                .execute(&format!(
                    "begin; set local role marts_loader; set local marts.org_id = '{org}';
                     insert into mart_sales_daily (org_id, sales_date, year, month, total_revenue)
                     values ({org}, '2026-01-20', 2026, 1, {amount});
                     insert into etl_runs (run_id, org_id, job, mart, as_of, status, tool_version)
                     values ('r', {org}, 'j', 'mart_sales_daily', '2026-01-20', 'success', '0');
                     insert into etl_changes (run_id, org_id, mart, key, column_name)
                     values ('r', {org}, 'mart_sales_daily', '{{}}', 'c');
                     insert into etl_acceptances (run_id, accepted_run, org_id, mart, periods, reason, accepted_by)
                     values ('r', 'q', {org}, 'mart_sales_daily', '{{2026-01-20}}', 'because', 'anna');
                     insert into etl_verifications (verification_id, org_id, job, mart, period, column_name, outcome,
                         asked_at, tool_version)
                     values ('v', {org}, 'j', 'mart_sales_daily', '2026-01-20', 'c', 'equal', now(), '0');
                     insert into oauth_tokens (org_id, connector, ciphertext, seed_fingerprint, issued_at, expires_at)
                     values ({org}, 'quickbooks', '\\x00', '\\x00', now(), now()); commit"
                ))
                .await
                .unwrap();
        }
    }
    all
}

const SEEN: &str = "select coalesce(string_agg(total_revenue::text, ' ' order by total_revenue), 'nothing')
    from mart_sales_daily";

#[tokio::test]
async fn a_reader_sees_its_own_rows_and_without_a_valid_setting_none() {
    for test in filled().await {
        let (acme, globex) = (test.acme.id, test.globex.id);
        let as_reader =
            |setting: &str, sql: &str| format!("begin; set local role marts_reader; {setting} {sql}; rollback");
        assert_eq!(test.value(&as_reader("", SEEN)).await, "nothing");
        for (setting, seen) in [
            (acme.to_string(), "100.00"),
            (globex.to_string(), "200.00"),
            (String::new(), "nothing"),
            ("0".into(), "nothing"),
            (format!("-{acme}"), "nothing"),
            (format!(" {acme}"), "nothing"),
            (format!("{acme} or true"), "nothing"),
            ("99999999999999999999".into(), "nothing"),
            ("4294967297".into(), "nothing"),
            ("1e0".into(), "nothing"),
            ("null".into(), "nothing"),
            ("Ünïcode".into(), "nothing"),
        ] {
            let set = format!("set local marts.org_id = '{setting}';");
            assert_eq!(test.value(&as_reader(&set, SEEN)).await, seen, "setting {setting:?}");
        }
        let set = format!("set local marts.org_id = '{acme}';");
        for table in ["etl_runs", "etl_changes", "etl_acceptances", "etl_verifications", "organizations"] {
            let count = format!("select count(*) from {table}");
            assert_eq!(test.value(&as_reader(&set, &count)).await, "1", "{table}");
            assert_eq!(test.value(&as_reader("", &count)).await, "0", "{table}");
        }
        assert_eq!(test.value(&as_reader(&set, "select slug from organizations")).await, "acme");
        let admin = "begin; set local role marts_admin; select count(*) from mart_sales_daily; rollback";
        assert_eq!(test.value(admin).await, "2");
    }
}

#[tokio::test]
async fn no_detour_shows_a_reader_more() {
    for test in filled().await {
        let acme = test.acme.id;
        let reader = format!("begin; set local role marts_reader; set local marts.org_id = '{acme}';");
        // A view of the reader's own, and functions that leak what a filter throws away.
        let view = format!(
            "{reader} create temporary view v as select * from mart_sales_daily;
            select count(*) from v; rollback"
        );
        assert_eq!(test.value(&view).await, "1");
        let leak = format!(
            "{reader} select count(*) from mart_sales_daily where total_revenue / (total_revenue - 200) > -9;
            rollback"
        );
        assert_eq!(test.value(&leak).await, "1", "the other row would divide by zero");
        let prepared = format!(
            "begin; prepare seen as {SEEN}; execute seen; set local role marts_reader;
             set local marts.org_id = '{acme}'; execute seen; reset marts.org_id; execute seen; rollback"
        );
        let seen = test.values(&prepared).await;
        assert_eq!(seen[seen.len() - 2..], ["100.00", "nothing"]);
        let grouped = format!(
            "{reader} select count(*) from (select * from mart_sales_daily
            union all select * from mart_sales_daily) both_; rollback"
        );
        assert_eq!(test.value(&grouped).await, "2");

        let copied = {
            use futures_util::TryStreamExt;
            let mut connection = test.get().connection().await.unwrap();
            let mut transaction = marts::postgres::as_reader(&mut connection, acme).await.unwrap();
            let rows: Vec<_> = transaction
                .copy_out_raw("copy (select total_revenue from mart_sales_daily) to stdout")
                .await
                .unwrap()
                .try_collect()
                .await
                .unwrap();
            rows.concat()
        };
        assert_eq!(copied, b"100.00\n");
    }
}

#[tokio::test]
async fn readers_and_admins_write_nothing_and_see_no_tokens() {
    for test in filled().await {
        for role in ["marts_reader", "marts_admin"] {
            for statement in [
                "update mart_sales_daily set total_revenue = 0",
                "delete from mart_sales_daily",
                "truncate mart_sales_daily",
                "insert into etl_changes (run_id, org_id, mart, key, column_name) values ('', 1, '', '{}', '')",
                "insert into etl_acceptances (run_id, accepted_run, org_id, mart, periods, reason, accepted_by)
                     values ('', '', 1, '', '{2026-01-20}', 'because', 'anna')",
                "update etl_verifications set outcome = 'equal'",
                "select * from oauth_tokens",
                "update organizations set slug = 'x'",
            ] {
                let sql = format!("begin; set local role {role}; set local marts.org_id = '1'; {statement}");
                let refusal = test.refusal(&sql).await;
                assert!(refusal.contains("permission denied"), "{role}: {statement}: {refusal}");
            }
        }
    }
}

#[tokio::test]
async fn the_loader_of_one_organisation_cannot_touch_another() {
    for test in filled().await {
        let (acme, globex) = (test.acme.id, test.globex.id);
        let loader = format!("begin; set local role marts_loader; set local marts.org_id = '{acme}';");
        let count =
            |sql: &str| format!("{loader} with touched as ({sql} returning 1) select count(*) from touched; rollback");
        assert_eq!(test.value(&count("update mart_sales_daily set total_revenue = 1")).await, "1");
        let stolen = format!("update mart_sales_daily set total_revenue = 1 where org_id = {globex}");
        assert_eq!(test.value(&count(&stolen)).await, "0");
        for statement in [
            format!("insert into mart_sales_daily (org_id, sales_date, year, month) values ({globex}, now(), 1, 1)"),
            format!("update mart_sales_daily set org_id = {globex}"),
            format!(
                "insert into mart_sales_daily (org_id, sales_date, year, month) values ({globex}, '2026-01-20', 1, 1)
                     on conflict (org_id, sales_date) do update set total_revenue = 1"
            ),
            format!(
                "insert into etl_changes (run_id, org_id, mart, key, column_name) values ('', {globex}, '', '{{}}', '')"
            ),
            format!(
                "insert into etl_acceptances (run_id, accepted_run, org_id, mart, periods, reason, accepted_by)
                     values ('', '', {globex}, '', '{{2026-01-20}}', 'because', 'anna')"
            ),
            format!(
                "insert into etl_verifications (verification_id, org_id, job, mart, period, column_name, outcome, asked_at,
                     tool_version) values ('', {globex}, '', '', now(), '', 'equal', now(), '')"
            ),
        ] {
            let refusal = test.refusal(&format!("{loader} {statement}")).await;
            assert!(refusal.contains("row-level security"), "{statement}: {refusal}");
        }
        // Nobody accepts anything without saying why, or what.
        for (periods, reason, by) in [("{2026-01-20}", " ", "anna"), ("{2026-01-20}", "x", ""), ("{}", "x", "anna")] {
            let accept = format!(
                "insert into etl_acceptances (run_id, accepted_run, org_id, mart, periods, reason, accepted_by)
                     values ('', '', {acme}, '', '{periods}', '{reason}', '{by}')"
            );
            let refusal = test.refusal(&format!("{loader} {accept}")).await;
            assert!(refusal.contains("violates check constraint"), "{accept}: {refusal}");
        }
        for statement in [
            "delete from mart_sales_daily",
            "truncate mart_sales_daily",
            "update etl_changes set mart = ''",
            "update etl_acceptances set reason = 'another'",
            "delete from etl_acceptances",
            "update etl_verifications set outcome = 'equal'",
            "delete from etl_verifications",
            "drop table mart_sales_daily",
            "alter table mart_sales_daily disable row level security",
        ] {
            let refusal = test.refusal(&format!("{loader} {statement}")).await;
            assert!(refusal.contains("permission denied") || refusal.contains("must be owner"), "{refusal}");
        }
        assert_eq!(test.value(&format!("{loader} select count(*) from oauth_tokens; rollback")).await, "1");
        assert_eq!(test.value(SEEN_BY_ADMIN).await, "100.00 200.00");
    }
}

const SEEN_BY_ADMIN: &str = "begin; set local role marts_admin;
    select string_agg(total_revenue::text, ' ' order by total_revenue) from mart_sales_daily; rollback";

/// What a hosted database gives: a user who owns the database and may create roles, but is no superuser.
#[tokio::test]
async fn an_owner_who_is_no_superuser_can_migrate_and_is_bound_like_everyone() {
    let Some(test) = TestDatabase::real().await else { return };
    let name = format!("marts_owner_{:08x}", rand::random::<u32>());
    let database = test.value("select current_database()").await;
    let mut connection = super::database::second_connection(&test.settings).await;
    // The roles exist already, made by somebody else: from 16 on only an admin of theirs can grant them.
    let setup = format!(
        "create role {name} login createrole; grant marts_reader, marts_admin, marts_loader to {name};
         create schema {name} authorization {name}; grant create, temporary on database {database} to {name};
         set session authorization {name}; set search_path to {name}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(setup)).execute(&mut connection).await.unwrap();
    sqlx::migrate!("./migrations").run(&mut connection).await.unwrap();
    let seen: i64 =
        sqlx::query_scalar("select count(*) from mart_sales_daily").fetch_one(&mut connection).await.unwrap();
    assert_eq!(seen, 0);
    let insert =
        "insert into organizations (slug, name, timezone, fiscal_year_start_month) values ('a', 'a', 'UTC', 1)";
    sqlx::raw_sql(insert).execute(&mut connection).await.unwrap();
    let direct = "insert into mart_sales_daily (org_id, sales_date, year, month) values (1, '2026-01-20', 2026, 1)";
    let refusal = sqlx::raw_sql(direct).execute(&mut connection).await.unwrap_err().to_string();
    assert!(refusal.contains("row-level security"), "{refusal}");
    let mut loader = marts::postgres::as_loader(&mut connection, 1).await.unwrap();
    sqlx::raw_sql(direct).execute(&mut *loader).await.unwrap();
    loader.commit().await.unwrap();
    let mut admin = marts::postgres::as_admin(&mut connection).await.unwrap();
    let seen: i64 = sqlx::query_scalar("select count(*) from mart_sales_daily").fetch_one(&mut *admin).await.unwrap();
    assert_eq!(seen, 1);
    drop(admin);
    let cleanup = format!("reset session authorization; drop owned by {name} cascade; drop role {name}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(cleanup)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// On a server of its own, such an owner makes the roles too. Version 16 changed what a maker of roles may do.
#[tokio::test]
async fn an_owner_who_is_no_superuser_can_make_the_roles() {
    let folder = tempfile::tempdir().unwrap();
    let database = marts::postgres::Database::embedded(&folder.path().join("postgres"), "test").await.unwrap();
    let setup = "create role owner createrole; grant create, temporary on database postgres to owner;
        create schema own authorization owner; set search_path to own; set session authorization owner";
    database.execute(setup).await.unwrap();
    database.migrate().await.unwrap();
    let ids = database.sync_organizations(&[super::database::organization("acme", "UTC")]).await.unwrap();
    let mut connection = database.connection().await.unwrap();
    let mut loader = marts::postgres::as_loader(&mut connection, ids[0]).await.unwrap();
    let insert = "insert into mart_sales_daily (org_id, sales_date, year, month) values (1, '2026-01-20', 2026, 1)";
    sqlx::raw_sql(insert).execute(&mut *loader).await.unwrap();
    loader.commit().await.unwrap();
    drop(connection);
    database.close().await.unwrap();
}
