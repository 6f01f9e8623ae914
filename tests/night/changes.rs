//! What moved since the night before, and which staged rows moved it.

use marts::sandbox::business::Cell;
use marts::sandbox::tds::{Database, Table};
use marts::sandbox::world::{DEALER_SCHEMA, table};
use rust_decimal::Decimal;
use serde_json::Value;

use super::stage::{Stage, day};

const DAY: &str = "2026-01-12";

/// The dealer's server with its register changed.
fn serve(stage: &Stage, change: impl FnOnce(&mut marts::sandbox::business::TableData)) {
    let mut tables = stage.world.dealer.tables();
    change(tables.iter_mut().find(|table| table.name == "InvoiceReg").unwrap());
    let tables: Vec<Table> = tables.into_iter().map(|data| table(DEALER_SCHEMA, data).unwrap()).collect();
    stage.world.softbase.set_database(Database::new("evo", tables).unwrap());
}

/// Of the invoices of the day: the first gets 100.00 more labour, the second is gone. Returns their numbers.
fn restate(register: &mut marts::sandbox::business::TableData) -> (String, String, Decimal) {
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
    let first = stage.value("select min(run_id) from etl_runs");

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
    let third = stage.value("select max(run_id) from etl_runs");
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
    assert!(said.contains("no staged row moved it: the settings in marts.toml have changed since"), "{said}");
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
