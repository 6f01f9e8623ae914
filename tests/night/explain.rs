//! Every number that is published can be explained: the staged rows behind it make it.

use std::collections::BTreeSet;

use marts::config::Config;
use marts::explain::{Ask, explain, explained_columns, tally};
use marts::jobs::{JOBS, Periods};
use marts::postgres::{Database, OrganizationRow};
use marts::run::source_for;
use marts::sandbox::world::WorldOptions;
use rust_decimal::Decimal;

use super::changes::{newest_run, restate, serve};
use super::stage::{Stage, as_of, day};

/// Every numeric and JSON cell of every published row of the three organisations.
#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_night_is_what_its_rows_make() {
    let stage = Stage::with(WorldOptions { ledgers: true, ..Stage::options(1, as_of()) }).await;
    stage.night(&[], 0);
    let config = Config::load(&stage.config()).unwrap();
    let database = Database::connect(&config.postgres, "test").await.unwrap();
    let rows: Vec<_> = config.orgs.iter().map(OrganizationRow::from).collect();
    let ids = database.sync_organizations(&rows).await.unwrap();
    let (mut sources, mut numbers, mut parts) = (BTreeSet::new(), 0, 0);
    for job in JOBS {
        for (org, id) in config.orgs.iter().zip(&ids) {
            let Some(source) = source_for(job, org) else { continue };
            sources.insert(source.sql_name);
            let tally = tally(&config, &database, *id, job, org).await.unwrap();
            let count = format!("select count(*)::text from {} where org_id = {id}", job.mart);
            let published = database.execute(&count).await.unwrap().remove(0).rows.concat().remove(0).unwrap();
            assert_eq!(tally.rows.to_string(), published, "{} of {}: no row is left out", job.mart, org.slug);
            assert!(tally.differing.is_empty(), "{} of {}: {:#?}", job.mart, org.slug, tally.differing);
            (numbers, parts) = (numbers + tally.numbers, parts + tally.parts);

            // And of the newest row, every number with the place of its largest rows.
            let newest = match job.periods {
                Periods::Days { .. } => as_of(),
                Periods::Months { .. } => day("2026-01-01"),
            };
            let (mut brought, mut quotients) = (0, 0);
            for column in explained_columns(job).unwrap() {
                let name = format!("{}.{} of {}", job.mart, column.name, org.slug);
                let ask = Ask { job, column, org, period: newest, entry: None, run: None, limit: 2 };
                let found =
                    explain(&config, &database, *id, &ask).await.unwrap_or_else(|error| panic!("{name}: {error:#}"));
                assert!(found.agrees(), "{name}: {:#?}", found.numbers);
                for term in found.numbers.iter().flat_map(|number| &number.terms) {
                    brought += term.shown.len();
                    quotients += usize::from(term.how == "numerator");
                    for row in term.shown.iter().filter_map(|part| part.row.as_ref()) {
                        assert!(row.place.is_some(), "{name}: nobody knows where {row:?} stands");
                    }
                }
            }
            assert!(brought > 3, "{}: nothing is shown", job.mart);
            let has_quotients = source.explain.contains("'numerator'");
            assert_eq!(quotients > 0, has_quotients, "{}", job.mart);
        }
    }
    database.close().await.unwrap();
    assert_eq!(sources.len(), JOBS.iter().flat_map(|job| job.sources).count(), "{sources:?}");
    assert!(numbers > 2_000 && parts > 50_000, "{numbers} numbers, {parts} parts");
}

/// The sums of a mart are taken apart to rows that a reader can look up.
#[tokio::test(flavor = "multi_thread")]
async fn a_cell_is_explained_in_words_and_rows_and_a_tampered_one_is_noticed() {
    let stage = Stage::start().await;
    stage.night(&["etl_sales_daily", "etl_hubspot_deals"], 0);
    let sales = ["explain", "mart_sales_daily.total_revenue", "--org", "bennett", "--period", "2026-01-20"];
    let (said, _) = stage.ends(&sales, 0);
    let published = stage.value("select total_revenue from mart_sales_daily where sales_date = '2026-01-20'");
    assert!(said.contains(&format!("published  {published}\n")), "{said}");
    assert!(said.contains("total_revenue is the invoices' grand totals without sales tax"), "{said}");
    assert!(said.contains("softbase_invoices/org=bennett/period=2026-01/pull="), "{said}");
    assert!(said.trim_end().ends_with("equals what is published"), "{said}");
    // Added up from the answer's own rows.
    let (json, _) = stage.ends(&[&["--json"], &sales[..], &["--limit", "1000"]].concat(), 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let [term] = json["numbers"][0]["terms"].as_array().unwrap().as_slice() else { panic!("{json}") };
    let amounts = term["shown"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["amount"].as_str().unwrap().parse::<Decimal>().unwrap());
    assert_eq!(amounts.sum::<Decimal>().round_dp(2), published.parse().unwrap(), "{json}");

    // One entry of a JSON column, with the page that the answer came on.
    let deals = ["explain", "mart_crm_deals.deals_by_stage", "--org", "vital", "--period", "2026-01-20"];
    let (said, _) = stage.ends(&deals, 0);
    assert!(said.contains("--entry ENTRY shows the rows"), "{said}");
    let entry =
        said.lines().find(|line| line.contains("/ count")).unwrap().split(" / count").next().unwrap().to_owned();
    let entry = format!("{entry} / count");
    let (said, _) = stage.ends(&[&deals[..], &["--entry", &entry, "--limit", "2"]].concat(), 0);
    assert!(said.contains("hubspot_deals/org=vital/period=2026-01-20/pull="), "{said}");

    // Somebody cuts the cents off an amount in the document: rounded as it is now written, its rows would make it.
    let found: serde_json::Value = serde_json::from_str(&stage.ends(&[&["--json"], &deals[..]].concat(), 0).0).unwrap();
    let amount = |number: &serde_json::Value| number["published"].as_str().unwrap().parse::<Decimal>().unwrap();
    let has_cents = |number: &&serde_json::Value| !amount(number).fract().is_zero();
    let number = found["numbers"].as_array().unwrap().iter().find(has_cents).expect("an amount with cents");
    let (entry, short) = (number["entry"].as_str().unwrap(), amount(number).round());
    let path = entry.replace(" / ", ",");
    let cut = format!("update mart_crm_deals set deals_by_stage = jsonb_set(deals_by_stage, '{{{path}}}', '{short}')");
    stage.ends(&["postgres", &cut], 0);
    let (said, _) = stage.ends(&[&deals[..], &["--entry", entry]].concat(), 1);
    assert!(said.contains("DIFFERS from what is published"), "{said}");

    // Somebody changes a published cell: its rows do not make it.
    stage.ends(
        &[
            "postgres",
            "update mart_sales_daily set total_revenue = total_revenue + 0.01 where sales_date = '2026-01-20'",
        ],
        0,
    );
    let (said, _) = stage.ends(&sales, 1);
    assert!(said.contains("DIFFERS from what is published"), "{said}");
    // A changed file is noticed, and named.
    let file = stage.staged().into_iter().find(|path| {
        let text = path.to_string_lossy();
        text.contains("softbase_invoices") && text.contains("2026-01") && text.contains("rows-")
    });
    let file = file.unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (_, error) = stage.ends(&sales, 1);
    assert!(error.contains("is not what was written") && error.contains("rows-0000.parquet"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

/// Each figure that a day ever had is explained by the rows that it was made of then.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_figure_is_explained_from_its_own_pulls() {
    let stage = Stage::start().await;
    stage.night(&["etl_sales_daily"], 0);
    let first = newest_run(&stage);
    let cell = ["explain", "mart_sales_daily.total_revenue", "--org", "bennett", "--period", "2026-01-12"];
    let before = stage.value("select total_revenue from mart_sales_daily where sales_date = '2026-01-12'");
    serve(&stage, |register| {
        restate(register);
    });
    stage.night(&["etl_sales_daily"], 0);
    let second = newest_run(&stage);
    let after = stage.value("select total_revenue from mart_sales_daily where sales_date = '2026-01-12'");
    assert_ne!(before, after);
    for (arguments, value, run) in
        [(&[][..], &after, &second), (&["--run", &second], &after, &second), (&["--run", &first], &before, &first)]
    {
        let (said, _) = stage.ends(&[&cell[..], arguments].concat(), 0);
        assert!(said.contains(&format!("published  {value}\nrun        {run} of ")), "{said}");
        assert!(said.trim_end().ends_with("equals what is published"), "{said}");
    }
    for (run, code, said) in [
        ("2", 2, "2 runs begin with 2; name one of them"),
        ("1999", 2, "there is no run 1999; `marts runs` lists them"),
    ] {
        let (_, error) = stage.ends(&[&cell[..], &["--run", run]].concat(), code);
        assert!(error.contains(said), "{error}");
    }
    let (_, error) = stage.ends(&[&cell[..], &["--entry", "x"]].concat(), 1);
    assert!(error.contains("total_revenue is one number and has no entries"), "{error}");

    // The pulls of the first night are gone: its figure cannot be explained any more, the second's can.
    let pulls: BTreeSet<_> = stage
        .staged()
        .iter()
        .filter(|path| path.to_string_lossy().contains("softbase_invoices/org=bennett/period=2026-01"))
        .map(|path| path.parent().unwrap().to_owned())
        .collect();
    assert_eq!(pulls.len(), 2, "{pulls:?}");
    std::fs::remove_dir_all(pulls.first().unwrap()).unwrap();
    stage.ends(&cell, 0);
    let (_, error) = stage.ends(&[&cell[..], &["--run", &first]].concat(), 1);
    assert!(error.contains("softbase_invoices") && error.contains("2026-01"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_explained_says_why() {
    let stage = Stage::start().await;
    stage.night(&["etl_sales_daily"], 0);
    let at = ["--org", "bennett", "--period", "2026-01-20"];
    for (cell, rest, code, said) in [
        ("mart_sales_daily", &at[..], 2, "are of one cell: write mart_sales_daily.COLUMN"),
        ("mart_sales.total_revenue", &at, 2, "there is no mart mart_sales; there are mart_sales_daily"),
        ("mart_sales_daily.revenue", &at, 2, "mart_sales_daily has no number called revenue; it has year"),
        ("mart_cash_flow.health_status", &at, 2, "has no number called health_status"),
        (
            "mart_sales_daily.total_revenue",
            &["--period", "2026-01", "--org", "bennett"],
            2,
            "write --period as in 2026-01-20",
        ),
        ("mart_sales_daily.total_revenue", &["--period", "2026-01-20", "--org", "vital"], 2, "vital has no connector"),
        (
            "mart_sales_daily.total_revenue",
            &["--period", "2020-01-20", "--org", "bennett"],
            1,
            "has no row of bennett for 2020-01-20",
        ),
    ] {
        let (_, error) = stage.ends(&[&["explain", cell], rest].concat(), code);
        assert!(error.contains(said), "{cell}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let (said, _) = stage.ends(&[&["explain", "mart_sales_daily.day_of_week"], &at[..]].concat(), 0);
    assert!(said.contains("2, from the period itself: equals what is published"), "{said}");
}
