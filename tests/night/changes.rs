//! What moved since the night before, and which staged rows moved it.

use std::collections::BTreeMap;

use marts::sandbox::business::Cell;
use marts::sandbox::tds::{Database, Table};
use marts::sandbox::world::{DEALER_SCHEMA, table};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;
use serde_json::Value;

use super::stage::{Stage, day};

const DAY: &str = "2026-01-12";

/// The dealer's server with its register changed.
pub fn serve(stage: &Stage, change: impl FnOnce(&mut marts::sandbox::business::TableData)) {
    let mut tables = stage.world.dealer.tables();
    change(tables.iter_mut().find(|table| table.name == "InvoiceReg").unwrap());
    let tables: Vec<Table> = tables.into_iter().map(|data| table(DEALER_SCHEMA, data).unwrap()).collect();
    stage.world.softbase.set_database(Database::new("evo", tables).unwrap());
}

/// Of the invoices of the day: the first gets 100.00 more labour, the second is gone. Returns their numbers.
pub fn restate(register: &mut marts::sandbox::business::TableData) -> (String, String, Decimal) {
    let at = |name: &str| register.position(name).unwrap();
    let (number, date, total, tax, labour) =
        (at("InvoiceNo"), at("InvoiceDate"), at("GrandTotal"), at("TotalTax"), at("LaborTaxable"));
    let is_of_day = |row: &Vec<Cell>| {
        matches!(&row[date], Cell::DateTime(instant) if instant.date() == day(DAY))
            && [total, tax, labour].iter().all(|column| matches!(row[*column], Cell::Decimal(_)))
    };
    let text = |cell: &Cell| match cell {
        Cell::Text(text) => text.trim().to_owned(),
        Cell::Int(number) => number.to_string(),
        cell => panic!("{cell:?} is no invoice number"),
    };
    let amount = |cell: &Cell| match cell {
        Cell::Decimal(amount) => *amount,
        cell => panic!("{cell:?} is no amount"),
    };
    let places: Vec<_> = (0..register.rows.len()).filter(|place| is_of_day(&register.rows[*place])).collect();
    let (first, second) = (places[0], places[1]);
    for column in [total, labour] {
        register.rows[first][column] = Cell::Decimal(amount(&register.rows[first][column]) + Decimal::from(100));
    }
    let gone = register.rows.remove(second);
    (text(&register.rows[first][number]), text(&gone[number]), amount(&gone[total]) - amount(&gone[tax]))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_moved_is_shown_with_the_rows_that_moved_it() {
    let stage = Stage::start().await;
    stage.night(&["etl_sales_daily", "etl_hubspot_deals"], 0);
    let (said, _) = stage.ends(&["changes"], 0);
    assert!(said.contains("bennett mart_sales_daily: 45 new rows"), "{said}");
    assert!(said.contains("no published number moved"), "{said}");
    let before = stage.value(&format!("select total_revenue from mart_sales_daily where sales_date = '{DAY}'"));
    let first = stage.value("select run_id from etl_runs order by started_at limit 1");

    let mut expected = None;
    serve(&stage, |register| expected = Some(restate(register)));
    let (changed, gone, gone_amount) = expected.unwrap();
    stage.night(&["etl_sales_daily"], 0);
    let after = stage.value(&format!("select total_revenue from mart_sales_daily where sales_date = '{DAY}'"));
    let moved = after.parse::<Decimal>().unwrap() - before.parse::<Decimal>().unwrap();
    assert_eq!(moved, (Decimal::from(100) - gone_amount).round_dp(2), "the source moved by as much");

    let (said, _) = stage.ends(&["changes"], 0);
    assert!(said.contains(&before) && said.contains(&after), "{said}");
    let found = json(&stage.ends(&["--json", "changes"], 0).0);
    let changes = found["changes"].as_array().unwrap();
    let total = changes.iter().find(|change| change["column"] == "total_revenue").unwrap();
    assert_eq!(
        (total["period"].as_str(), total["old"].as_str(), total["new"].as_str()),
        (Some(DAY), Some(&*before), Some(&*after))
    );
    assert_eq!(total["difference"].as_str().unwrap().parse::<Decimal>().unwrap(), moved);
    // The ledger has each of them, and no other.
    let second = found["runs"][0].as_str().unwrap();
    let count = stage.value(&format!("select count(*) from etl_changes where run_id = '{second}'"));
    assert_eq!(changes.len().to_string(), count);
    let [cause] = found["causes"].as_array().unwrap().as_slice() else { panic!("{found}") };
    let rows: Vec<_> = cause["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["how"].as_str().unwrap(), row["key"].as_str().unwrap()))
        .collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.contains(&("changed", &*changed)) && rows.contains(&("vanished", &*gone)), "{rows:?}");

    // Back again: two changes, and no difference between the ends.
    serve(&stage, |_| {});
    stage.night(&["etl_sales_daily"], 0);
    let third = stage.value("select run_id from etl_runs order by started_at desc limit 1");
    assert_ne!(third, second);
    let since = json(&stage.ends(&["--json", "changes", "--since", &first], 0).0);
    assert_eq!(since["changes"].as_array().unwrap().len(), 2 * changes.len());
    stage.ends(&["diff", &first, &third, "--fail-if-diff"], 0);
    let (said, _) = stage.ends(&["diff", &first, second, "--fail-if-diff"], 1);
    assert!(said.contains(&before) && said.contains(&after), "{said}");
    let forth = json(&stage.ends(&["--json", "diff", &first, second], 0).0);
    let back = json(&stage.ends(&["--json", "diff", second, &first], 0).0);
    let ends = |diff: &Value, old: &str, new: &str| -> Vec<_> {
        diff["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| (change["column"].clone(), change[old].clone(), change[new].clone()))
            .collect()
    };
    assert_eq!(ends(&forth, "old", "new"), ends(&back, "new", "old"));
    assert_eq!(forth["changes"].as_array().unwrap().len(), changes.len());

    // Settings move numbers too, and then no staged row does.
    stage.reword("schema = \"ben002\"", "schema = \"ben002\"\ntotal_includes_tax = true");
    stage.night(&["etl_sales_daily", "--from-staging"], 0);
    let (said, _) = stage.ends(&["changes", "--causes", "1"], 0);
    let settings = "no staged row moved it: what marts.toml says of the organisation has changed\n";
    assert!(said.contains(settings), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_are_none_or_several_are_told_in_one_line() {
    let stage = Stage::start().await;
    assert!(stage.ends(&["changes"], 0).0.contains("nothing changed"));
    stage.night(&["etl_sales_daily"], 0);
    stage.night(&["etl_sales_daily"], 0);
    for (arguments, said) in [
        (&["changes", "--since", "1999"][..], "there is no run 1999; `marts runs` lists them"),
        (&["diff", "2", "2"], "2 runs begin with 2; name one of them"),
        (&["changes", "--mart", "mart_x"], "mart_x"),
        (&["changes", "--org", "nobody"], "nobody"),
    ] {
        let (_, error) = stage.ends(arguments, 2);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    assert!(stage.ends(&["changes", "--since", "2999-01-01"], 0).0.contains("nothing changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_was_unknown_moved_and_its_row_is_not_new() {
    let stage = Stage::start().await;
    stage.night(&["etl_sales_daily", "--from", "2026-01-11", "--to", "2026-01-15"], 0);
    let first = newest_run(&stage);
    stage.ends(&["postgres", "update mart_sales_daily set total_revenue = null where sales_date = '2026-01-12'"], 0);
    stage.night(&["etl_sales_daily", "--from-staging", "--from", "2026-01-11", "--to", "2026-01-15"], 0);
    let second = newest_run(&stage);
    let value = stage.value("select total_revenue from mart_sales_daily where sales_date = '2026-01-12'");
    let moved = |found: &Value| {
        assert_eq!(found["new_rows"], serde_json::json!([]), "{found}");
        let [change] = found["changes"].as_array().unwrap().as_slice() else { panic!("{found}") };
        assert_eq!((&change["column"], &change["period"]), (&"total_revenue".into(), &"2026-01-12".into()));
        assert!(change["difference"].is_null(), "there is none to what is unknown: {change}");
        (change["old"].clone(), change["new"].clone())
    };
    assert_eq!(moved(&json(&stage.ends(&["--json", "changes"], 0).0)), (Value::Null, Value::from(&*value)));
    let forth = json(&stage.ends(&["--json", "diff", &first, &second, "--fail-if-diff"], 1).0);
    assert_eq!(moved(&forth), (Value::Null, Value::from(&*value)));
    // Nobody's source and nobody's settings did it.
    let (said, _) = stage.ends(&["changes"], 0);
    assert!(said.contains("neither the settings nor the rules have changed, so somebody had edited the row"), "{said}");

    // Rows that a later run brought are missing before it.
    stage.night(&["etl_sales_daily", "--from", "2026-01-11", "--to", "2026-01-20"], 0);
    let third = newest_run(&stage);
    let (said, _) = stage.ends(&["diff", &second, &third], 0);
    assert!(said.contains("bennett mart_sales_daily: 5 new rows"), "{said}");
    let (said, _) = stage.ends(&["diff", &third, &second, "--fail-if-diff"], 1);
    assert!(said.contains(&format!("bennett mart_sales_daily: without 5 rows of run {third}")), "{said}");
    assert!(!said.contains("new rows"), "{said}");
}

/// The run that began last.
pub fn newest_run(stage: &Stage) -> String {
    stage.value("select run_id from etl_runs order by started_at desc limit 1")
}

/// What the ledger says moved between two runs turns the marts as the one left them into what the other left.
#[tokio::test(flavor = "multi_thread")]
async fn a_difference_applied_to_one_end_gives_the_other() {
    const SEED: u64 = 20;
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let stage = Stage::start().await;
    let mut ends: Vec<(String, Figures)> = Vec::new();
    for _ in 0..4 {
        serve(&stage, |register| {
            let total = register.position("GrandTotal").unwrap();
            for _ in 0..40 {
                let row = random.random_range(0..register.rows.len());
                if let Cell::Decimal(amount) = &mut register.rows[row][total] {
                    *amount += Decimal::new(random.random_range(-5_000..5_000), 2);
                }
            }
        });
        stage.night(&["etl_sales_daily", "etl_rental_fleet"], 0);
        ends.push((newest_run(&stage), figures(&stage)));
    }
    let mut moved = 0;
    for (from, before) in &ends {
        for (to, after) in &ends {
            let diff = json(&stage.ends(&["--json", "diff", from, to], 0).0);
            let mut applied = before.clone();
            for change in diff["changes"].as_array().unwrap() {
                let text = |name: &str| change[name].as_str().map(str::to_owned);
                let place = [text("mart").unwrap(), text("period").unwrap(), text("column").unwrap()];
                let cell = (place, text("entry").unwrap_or_default());
                let number = |name: &str| text(name).map(|text| text.parse::<Decimal>().unwrap());
                assert_eq!(applied.get(&cell).copied(), number("old"), "seed {SEED}: {from} to {to}: {change}");
                match number("new") {
                    Some(new) => applied.insert(cell, new),
                    None => applied.remove(&cell),
                };
                moved += 1;
            }
            assert_eq!(&applied, after, "seed {SEED}: {from} to {to}");
        }
    }
    assert!(moved > 20, "seed {SEED}: only {moved} numbers moved");
}

/// Numbers of marts by mart, first day of the period, column, and place in a document.
type Figures = BTreeMap<([String; 3], String), Decimal>;

/// Every number of two marts, read without the code under test.
fn figures(stage: &Stage) -> Figures {
    let mut found = Figures::new();
    for (mart, day) in [("mart_sales_daily", "sales_date"), ("mart_rental_fleet", "snapshot_date")] {
        // In hexadecimal, because documents hold commas.
        let rows = format!("select {day}, encode(convert_to(to_jsonb({mart})::text, 'UTF8'), 'hex') from {mart}");
        for row in stage.rows(&rows) {
            let document: Value = serde_json::from_slice(&hex::decode(&row[1]).unwrap()).unwrap();
            for (column, value) in document.as_object().unwrap() {
                let place = || [mart.to_owned(), row[0].clone(), column.clone()];
                let members = value.as_object().cloned().unwrap_or_default();
                for (entry, value) in members.iter().chain([(&String::new(), value)]) {
                    if let Value::Number(number) = value {
                        found.insert((place(), entry.clone()), number.to_string().parse().unwrap());
                    }
                }
            }
        }
    }
    found
}
