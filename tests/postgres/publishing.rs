//! Publishing: whole or not at all, exact, and every changed cell on record.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, RecordBatch, StringArray};
use marts::ledger::{self, Finished, RunId, Started, Status};
use marts::publish::{MartRows, Mode, Organization, Published, publish};
use serde_json::json;

use super::database::TestDatabase;

/// A day of the deals mart; every column not named here is 0 or `{}`.
#[derive(Clone)]
struct Deals {
    /// Days since 1970.
    day: i32,
    total: Option<i32>,
    cents: Option<i128>,
    stages: &'static str,
}

fn day(day: i32) -> Deals {
    Deals { day, total: Some(3), cents: Some(12_345), stages: r#"{"a": {"count": 1, "value": 1.50}}"# }
}

fn decimals(cents: Vec<Option<i128>>) -> ArrayRef {
    Arc::new(Decimal128Array::from(cents).with_precision_and_scale(18, 2).unwrap())
}

fn batch(rows: &[Deals]) -> RecordBatch {
    let zeros = || Arc::new(Int32Array::from(vec![0; rows.len()])) as ArrayRef;
    let nothing = || decimals(vec![Some(0); rows.len()]);
    RecordBatch::try_from_iter([
        ("deals_by_stage", Arc::new(rows.iter().map(|row| Some(row.stages)).collect::<StringArray>()) as ArrayRef),
        ("snapshot_date", Arc::new(rows.iter().map(|row| Some(row.day)).collect::<Date32Array>()) as ArrayRef),
        ("total_deals", Arc::new(rows.iter().map(|row| row.total).collect::<Int32Array>()) as ArrayRef),
        ("open_deals", zeros()),
        ("won_deals", zeros()),
        ("lost_deals", zeros()),
        ("total_pipeline_value", decimals(rows.iter().map(|row| row.cents).collect())),
        ("won_value", nothing()),
        ("lost_value", nothing()),
        ("average_deal_size", nothing()),
    ])
    .unwrap()
}

fn deals(batches: Vec<RecordBatch>) -> MartRows {
    let finished = Finished {
        job: "etl_hubspot_deals".into(),
        status: Status::Success,
        rows_landed: Some(7),
        error: None,
        detail: json!({"pulls": []}),
    };
    let key = &["snapshot_date"];
    MartRows { mart: "mart_crm_deals", key, source_system: "hubspot", batches, finished }
}

/// Starts a run and publishes.
async fn run(test: &TestDatabase, org: &Organization, id: &str, marts: &[MartRows]) -> anyhow::Result<Vec<Published>> {
    let run = RunId::from(id.to_owned());
    let mut connection = test.get().connection().await?;
    for rows in marts {
        let as_of = "2026-01-20".parse()?;
        let (job, mart) = (rows.finished.job.as_str(), rows.mart);
        let started = Started { run: &run, org_id: org.id, job, mart, as_of, periods: Some((as_of, as_of)) };
        ledger::start(&mut connection, &started).await?;
    }
    publish(&mut connection, org, &run, marts, Mode::Commit).await
}

fn counts(published: &[Published]) -> (i64, i64, i64, i64) {
    let one = &published[0];
    (one.inserted, one.updated, one.unchanged, one.changed_cells)
}

const STATE: &str = "select format('%s', m) from mart_crm_deals m order by id";

#[tokio::test]
async fn publishing_again_changes_nothing_and_one_cell_is_one_change() {
    for test in TestDatabase::each().await {
        let rows = vec![day(20_000), day(20_001)];
        let first = run(&test, &test.acme, "r1", &[deals(vec![batch(&rows)])]).await.unwrap();
        // Two rows of nine cells and the source system; the key is not a cell.
        assert_eq!(counts(&first), (2, 0, 0, 20));
        let before = test.values(STATE).await;
        assert!(before[0].contains("2024-10-04,3,0,0,0,123.45,0.00,0.00,0.00"), "{before:?}");

        // In two batches, the JSON written differently.
        let mut again = rows.clone();
        again[0].stages = r#"{"a":{"value":1.5,  "count":1}}"#;
        let batches = vec![batch(&again[..1]), batch(&again[1..])];
        let second = run(&test, &test.acme, "r2", &[deals(batches)]).await.unwrap();
        assert_eq!(counts(&second), (0, 0, 2, 0));
        assert_eq!(test.values(STATE).await, before, "id, created_at and updated_at included");

        again[1].cents = Some(12_346);
        let third = run(&test, &test.acme, "r3", &[deals(vec![batch(&again)])]).await.unwrap();
        assert_eq!(counts(&third), (0, 1, 1, 1));
        let change = test
            .values("select concat_ws('|', mart, key, column_name, old_value, new_value) from etl_changes where run_id = 'r3'")
            .await;
        assert_eq!(change, [r#"mart_crm_deals|{"snapshot_date": "2024-10-05"}|total_pipeline_value|123.45|123.46"#]);
        let moved = "select format('%s %s', id, updated_at > created_at) from mart_crm_deals order by id";
        assert_eq!(test.values(moved).await, ["1 f", "2 t"]);

        // The run ledger tells the same.
        let ledger = "select concat_ws(' ', run_id, status, rows_landed, rows_inserted, rows_updated, rows_unchanged,
            finished_at is not null) from etl_runs order by run_id";
        assert_eq!(test.values(ledger).await, ["r1 success 7 2 0 0 t", "r2 success 7 0 0 2 t", "r3 success 7 0 1 1 t"]);
        // Another organisation with the same key has rows of its own.
        let other = run(&test, &test.globex, "r3", &[deals(vec![batch(&rows)])]).await.unwrap();
        assert_eq!(counts(&other), (2, 0, 0, 20));
    }
}

#[tokio::test]
async fn null_is_not_zero() {
    for test in TestDatabase::each().await {
        let cells = "select concat_ws(' ', column_name, coalesce(old_value, 'null'), coalesce(new_value, 'null'))
            from etl_changes where run_id = 'r2' order by column_name";
        let zero = Deals { total: Some(0), cents: Some(0), ..day(20_000) };
        let null = Deals { total: None, cents: None, ..day(20_000) };
        run(&test, &test.acme, "r1", &[deals(vec![batch(std::slice::from_ref(&zero))])]).await.unwrap();
        let to_null = run(&test, &test.acme, "r2", &[deals(vec![batch(&[null])])]).await.unwrap();
        assert_eq!(counts(&to_null), (0, 1, 0, 2));
        assert_eq!(test.values(cells).await, ["total_deals 0 null", "total_pipeline_value 0.00 null"]);
        assert_eq!(test.value("select total_deals::text from mart_crm_deals").await, "∅");
        let back = run(&test, &test.acme, "r3", &[deals(vec![batch(&[zero])])]).await.unwrap();
        assert_eq!(counts(&back), (0, 1, 0, 2));
    }
}

#[tokio::test]
async fn decimals_are_exact_to_the_limit_and_beyond_it_nothing_is_published() {
    for test in TestDatabase::each().await {
        let most = 999_999_999_999_999_999;
        let rows =
            [(20_000, most), (20_001, -most), (20_002, 1)].map(|(on, cents)| Deals { cents: Some(cents), ..day(on) });
        run(&test, &test.acme, "r1", &[deals(vec![batch(&rows)])]).await.unwrap();
        let amounts = "select total_pipeline_value from mart_crm_deals order by snapshot_date";
        assert_eq!(test.values(amounts).await, ["9999999999999999.99", "-9999999999999999.99", "0.01"]);

        let before = test.values(STATE).await;
        let rows = [day(20_000), Deals { cents: Some(most + 1), ..day(20_003) }];
        let error = run(&test, &test.acme, "r2", &[deals(vec![batch(&rows)])]).await.unwrap_err();
        let message = format!("{error:#}");
        let value = "column total_pipeline_value is \"10000000000000000.00\" in the row of snapshot_date 2024-10-07";
        for part in ["publishing mart_crm_deals of acme", "overflow", value, "line 2"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(test.values(STATE).await, before);
        assert_eq!(test.value("select count(*) from etl_changes where run_id = 'r2'").await, "0");
        assert_eq!(test.value("select status from etl_runs where run_id = 'r2'").await, "running");
        // The connection is as good as new, and the failure can be put on record.
        let mut connection = test.get().connection().await.unwrap();
        let run = RunId::from("r2".to_owned());
        ledger::fail(&mut connection, test.acme.id, &run, "etl_hubspot_deals", &error, json!({})).await.unwrap();
        drop(connection);
        let recorded = test.value("select error from etl_runs where run_id = 'r2' and status = 'failed'").await;
        assert_eq!(recorded, message);
    }
}

#[tokio::test]
async fn a_failure_in_the_last_mart_leaves_the_first_as_it_was() {
    for test in TestDatabase::each().await {
        run(&test, &test.acme, "r1", &[deals(vec![batch(&[day(20_000)])])]).await.unwrap();
        let before = test.values(STATE).await;
        let mut contacts = deals(vec![
            RecordBatch::try_from_iter([("snapshot_date", Arc::new(Date32Array::from(vec![20_000])) as ArrayRef)])
                .unwrap(),
        ]);
        contacts.mart = "mart_crm_contacts";
        contacts.finished.job = "etl_hubspot_contacts".into();
        let changed = deals(vec![batch(&[Deals { cents: Some(1), ..day(20_000) }])]);
        let error = run(&test, &test.acme, "r2", &[changed, contacts]).await.unwrap_err();
        assert!(format!("{error:#}").contains("the rows lack column total_contacts"), "{error:#}");
        assert_eq!(test.values(STATE).await, before);
        assert_eq!(test.value("select count(*) from etl_changes where run_id = 'r2'").await, "0");
    }
}

#[tokio::test]
async fn rows_that_do_not_fit_are_refused_by_name() {
    let test = TestDatabase::embedded().await;
    let replaced = |name: &str, array: ArrayRef| {
        let batch = batch(&[day(20_000)]);
        let columns: Vec<(String, ArrayRef)> = batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, old)| (field.name().clone(), if field.name() == name { array.clone() } else { old.clone() }))
            .collect();
        deals(vec![RecordBatch::try_from_iter(columns).unwrap()])
    };
    let doubles: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![1.0]));
    let coarse: ArrayRef = Arc::new(Decimal128Array::from(vec![1]).with_precision_and_scale(18, 1).unwrap());
    let json: ArrayRef = Arc::new(StringArray::from(vec!["{not json"]));
    let nul: ArrayRef = Arc::new(StringArray::from(vec!["\"a\0b\""]));
    for (index, (rows, expected)) in [
        (replaced("won_value", doubles), "column won_value is Float64, the mart wants numeric(18,2)"),
        (replaced("won_value", coarse), "column won_value is Decimal128(18, 1), the mart wants numeric(18,2)"),
        (replaced("deals_by_stage", json), "invalid input syntax for type json"),
        (replaced("deals_by_stage", nul), "column deals_by_stage: the text contains a zero character"),
        (deals(vec![batch(&[day(20_000), day(20_000)])]), "more than one row for snapshot_date 2024-10-04"),
        (MartRows { mart: "mart_nowhere", ..deals(vec![]) }, "the table is missing: run `marts migrate`"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = run(&test, &test.acme, &format!("r{index}"), &[rows]).await.unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{expected}: {error:#}");
    }
    assert_eq!(test.value("select count(*) from mart_crm_deals").await, "0");
    let wrong = Organization { id: test.globex.id, slug: "acme".into() };
    let error = run(&test, &wrong, "r9", &[deals(vec![batch(&[day(20_000)])])]).await.unwrap_err();
    assert!(format!("{error:#}").contains("organisation acme is not number 2"), "{error:#}");
    let nothing = run(&test, &test.acme, "r10", &[deals(vec![])]).await.unwrap();
    assert_eq!(counts(&nothing), (0, 0, 0, 0));
}

#[tokio::test]
async fn a_table_without_its_protection_is_not_published_into() {
    for test in TestDatabase::each().await {
        for (index, (damage, repair, complaint)) in [
            (
                "alter table mart_crm_deals disable row level security",
                "alter table mart_crm_deals enable row level security",
                "row-level security is off",
            ),
            (
                "alter table mart_crm_deals no force row level security",
                "alter table mart_crm_deals force row level security",
                "not forced",
            ),
            (
                "drop policy reader on mart_crm_deals",
                "create policy reader on mart_crm_deals for select to marts_reader using (org_id = (select marts_org_id()))",
                "policy reader is missing",
            ),
            (
                "alter policy reader on mart_crm_deals using (true)",
                "alter policy reader on mart_crm_deals using (org_id = (select marts_org_id()))",
                "policy reader is missing or altered",
            ),
            (
                "create policy leak on mart_crm_deals using (true)",
                "drop policy leak on mart_crm_deals",
                "policy leak is not one of ours",
            ),
            (
                "revoke select on mart_crm_deals from marts_reader",
                "grant select on mart_crm_deals to marts_reader",
                "marts_reader may not read",
            ),
            (
                "grant update on mart_crm_deals to public",
                "revoke update on mart_crm_deals from public",
                "marts_reader may write",
            ),
            (
                "alter table mart_crm_deals drop constraint mart_crm_deals_org_id_snapshot_date_key",
                "alter table mart_crm_deals add unique (org_id, snapshot_date)",
                "no longer has its unique index on (org_id, snapshot_date)",
            ),
            (
                "alter table mart_crm_deals drop constraint mart_crm_deals_org_id_snapshot_date_key;
                 create unique index partly on mart_crm_deals (org_id, snapshot_date) where total_deals > 0",
                "drop index partly; alter table mart_crm_deals add unique (org_id, snapshot_date)",
                "add unique (org_id, snapshot_date)",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            test.get().execute(damage).await.unwrap();
            let error =
                run(&test, &test.acme, &format!("r{index}"), &[deals(vec![batch(&[day(20_000)])])]).await.unwrap_err();
            let message = format!("{error:#}");
            assert!(message.contains(complaint) && message.contains("mart_crm_deals"), "{complaint}: {message}");
            test.get().execute(repair).await.unwrap();
        }
        run(&test, &test.acme, "r99", &[deals(vec![batch(&[day(20_000)])])]).await.unwrap();
    }
}

#[tokio::test]
async fn what_others_hung_on_a_mart_survives_and_its_loss_is_refused() {
    for test in TestDatabase::each().await {
        let hung = "create view of_a_dashboard as select * from mart_crm_deals;
            create index of_a_dashboard_too on mart_crm_deals (total_deals);
            grant select on mart_crm_deals to current_user";
        test.get().execute(hung).await.unwrap();
        run(&test, &test.acme, "r1", &[deals(vec![batch(&[day(20_000)])])]).await.unwrap();
        test.get().migrate().await.unwrap();
        let stands =
            "select to_regclass('of_a_dashboard') is not null and to_regclass('of_a_dashboard_too') is not null";
        assert_eq!(test.value(stands).await, "t");

        // Something in the database takes the view away while a night is published.
        let taking = "create function take() returns trigger language plpgsql security definer
                as 'begin drop view if exists of_a_dashboard; return new; end';
            create trigger taking after insert on etl_changes execute function take()";
        test.get().execute(taking).await.unwrap();
        let before = test.values(STATE).await;
        let error = run(&test, &test.acme, "r2", &[deals(vec![batch(&[day(20_001)])])]).await.unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("gone meanwhile: view of_a_dashboard on mart_crm_deals; restore it"), "{message}");
        assert_eq!((test.values(STATE).await, test.value(stands).await), (before, "t".to_owned()), "nothing happened");
    }
}
