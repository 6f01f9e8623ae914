//! Past nights computed again: on another machine, in another place, with other threads, into an empty database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, NaiveDate, Utc};
use marts::clock::Clock;
use marts::config::Config;
use marts::jobs::{JOBS, job};
use marts::run::{Request, run};
use marts::sandbox::business::Cell;
use marts::sandbox::tds::Database as Server;
use marts::sandbox::world::{DEALER_SCHEMA, WorldOptions, table};
use rust_decimal::Decimal;

use super::stage::{Stage, day, ended, files};

/// The rows of every mart, by mart, organisation and period: all columns but those that tell when a row was written.
pub(crate) type Marts = BTreeMap<(String, String, NaiveDate), String>;

/// A clock that tests set, and that runs on from there.
fn clock_at(instant: &str) -> Clock {
    let (from, began) = (instant.parse::<DateTime<Utc>>().unwrap(), Utc::now());
    Clock::from_fn(move || from + (Utc::now() - began))
}

fn world(to: &str, clock: &Clock) -> WorldOptions {
    WorldOptions { from: day("2025-08-01"), ledgers: true, ..WorldOptions::new(11, day(to), clock.clone()) }
}

/// Runs jobs at an instant, on what `as_of` is by default then.
async fn run_at(stage: &Stage, clock: &Clock, jobs: &[&str]) {
    let config = Config::load(&stage.config()).unwrap();
    let database = marts::postgres::Database::connect(&config.postgres, "test").await.unwrap();
    database.migrate().await.unwrap();
    let jobs =
        if jobs.is_empty() { JOBS.iter().collect() } else { jobs.iter().map(|name| job(name).unwrap()).collect() };
    let request = Request { jobs, ..Request::default() };
    let report = run(&config, &database, clock, &request, &|_| {}).await.unwrap();
    for mart in &report.marts {
        assert!(mart.status.is_good(), "{mart:?}");
    }
    database.close().await.unwrap();
}

/// What is published, as the database writes it. In one statement, since each is a start of the program and of the
/// embedded server.
pub(crate) fn published(sql: impl Fn(&str) -> String) -> Marts {
    let of_each = JOBS.iter().map(|job| {
        let period = match job.key {
            ["year", "month"] => "make_date(year, month, 1)",
            [day] => day,
            _ => panic!("{} has another key", job.mart),
        };
        format!(
            "select '{mart}' as mart, {period} as period, slug,
                 (to_jsonb(m) - array['id', 'org_id', 'created_at', 'updated_at'])::text as measures
             from {mart} m join organizations o on o.id = org_id",
            mart = job.mart
        )
    });
    let answer = sql(&of_each.collect::<Vec<_>>().join(" union all "));
    let mut marts = Marts::new();
    if answer.starts_with("0 rows") {
        return marts;
    }
    let rows: Vec<BTreeMap<String, String>> = serde_json::from_str(&answer).unwrap();
    for mut row in rows {
        let mut cell = |name: &str| row.remove(name).unwrap();
        let key = (cell("mart"), cell("slug"), day(&cell("period")));
        assert_eq!(marts.insert(key, cell("measures")), None);
    }
    marts
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

/// Another machine: the configuration without a secret, a copy of the landing zone, no database yet.
struct Elsewhere {
    folder: tempfile::TempDir,
}

impl Elsewhere {
    fn new(stage: &Stage, threads: u32) -> Elsewhere {
        let folder = tempfile::tempdir().unwrap();
        // A place that looks like partitions and like patterns.
        let landing: PathBuf = folder.path().join("org=nobody/period=1999-01-01/[copy]*/it's");
        copy(&stage.folder.path().join("staging"), &landing);
        let config = stage.world.write_config(folder.path()).unwrap();
        fs::remove_dir_all(folder.path().join("secrets")).unwrap();
        let text = fs::read_to_string(&config).unwrap();
        let landing = landing.display();
        fs::write(config, format!("{text}\n[staging]\npath = \"{landing}\"\n\n[limits]\nduckdb_threads = {threads}\n"))
            .unwrap();
        Elsewhere { folder }
    }

    fn ends(&self, arguments: &[&str], code: i32) -> (String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_marts"));
        command.arg("--config").arg(self.folder.path().join("marts.toml")).args(arguments);
        let output = tokio::task::block_in_place(|| command.output().unwrap());
        ended(arguments, output, code)
    }

    fn published(&self) -> Marts {
        published(|sql| self.ends(&["postgres", "--format", "json", sql], 0).0)
    }

    /// Starts over with a database in which nothing is.
    fn forget(&self) {
        fs::remove_dir_all(self.folder.path().join(".marts")).unwrap();
    }
}

/// Holds a rebuilt night against what was published in it: of each mart and organisation, the rows from the first period
/// that the night restated.
fn same(rebuilt: &Marts, published: &Marts, night: &str) {
    let mut first: BTreeMap<(&str, &str), NaiveDate> = BTreeMap::new();
    for (mart, org, period) in rebuilt.keys() {
        let found = first.entry((mart, org)).or_insert(*period);
        *found = (*period).min(*found);
    }
    let expected: Marts = published
        .iter()
        .filter(|((mart, org, period), _)| first.get(&(mart.as_str(), org.as_str())).is_some_and(|from| from <= period))
        .map(|(key, row)| (key.clone(), row.clone()))
        .collect();
    assert_eq!(*rebuilt, expected, "{night}");
    let found: std::collections::BTreeSet<_> = rebuilt.keys().map(|(mart, ..)| mart).collect();
    assert_eq!(found.len(), marts::jobs::JOBS.len(), "every mart is there: {found:?}");
}

/// Puts 100.00 onto an invoice of a day that is past.
fn restate_an_invoice(stage: &Stage, on: &str) {
    let mut tables = stage.world.dealer.tables();
    let register = tables.iter_mut().find(|table| table.name == "InvoiceReg").unwrap();
    let at = |name: &str| register.position(name).unwrap();
    let (date, total, labour) = (at("InvoiceDate"), at("GrandTotal"), at("LaborTaxable"));
    let is_of_day = |cell: &Cell| matches!(cell, Cell::DateTime(instant) if instant.date() == day(on));
    let row = register.rows.iter_mut().find(|row| is_of_day(&row[date]) && matches!(row[total], Cell::Decimal(_)));
    let row = row.unwrap();
    for column in [total, labour] {
        let Cell::Decimal(amount) = row[column] else { panic!("an amount") };
        row[column] = Cell::Decimal(amount + Decimal::new(10_000, 2));
    }
    let second = stage.world.second_dealer.as_ref().unwrap().tables();
    let tables = tables.into_iter().map(|data| table(DEALER_SCHEMA, data).unwrap());
    let second = second.into_iter().map(|data| table("ind004", data).unwrap());
    stage.world.softbase.set_database(Server::new("evo", tables.chain(second).collect()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_night_is_computed_again_bit_for_bit_wherever_and_whenever() {
    // Three nights; in the first one job runs an hour before the others, and a day of events is not there yet.
    let (early, first) = (clock_at("2026-01-21T08:00:00Z"), clock_at("2026-01-21T09:00:00Z"));
    let mut stage = Stage::on_clock(world("2026-01-20", &first)).await;
    stage.world.bigquery.set_missing([day("2026-01-18")]);
    run_at(&stage, &early, &["etl_sales_daily"]).await;
    run_at(&stage, &first, &[]).await;
    let all = |stage: &Stage| published(|sql| stage.ends(&["postgres", "--format", "json", sql], 0).0);
    let mut nights = vec![all(&stage)];
    for (to, at) in [("2026-01-21", "2026-01-22T09:00:00Z"), ("2026-01-22", "2026-01-23T09:00:00Z")] {
        let clock = clock_at(at);
        stage.go_on(world(to, &clock)).await;
        restate_an_invoice(&stage, if to == "2026-01-21" { "2026-01-08" } else { "2026-01-13" });
        run_at(&stage, &clock, &[]).await;
        nights.push(all(&stage));
    }
    let sales = |night: usize, on: &str| nights[night][&("mart_sales_daily".into(), "bennett".into(), day(on))].clone();
    assert_ne!(sales(0, "2026-01-08"), sales(1, "2026-01-08"), "the past was restated");
    assert_ne!(sales(1, "2026-01-13"), sales(2, "2026-01-13"));
    let app = |night: usize| ("mart_app_analytics".to_owned(), "vital".to_owned(), day("2026-01-18"), night);
    let has = |(mart, org, on, night): (String, String, NaiveDate, usize)| nights[night].contains_key(&(mart, org, on));
    assert_eq!([has(app(0)), has(app(1))], [false, true], "the day came late");

    // By an instant of either form, and not in the order of the nights.
    for (threads, night, instant) in [(1, 1, "2026-01-22T06:00:00-06:00"), (7, 0, "20260121T120000Z")] {
        let elsewhere = Elsewhere::new(&stage, threads);
        elsewhere.ends(&["run", "--from-staging", "--as-of-pull", instant], 0);
        same(&elsewhere.published(), &nights[night], &format!("night {night} on {threads} threads"));
    }
    // Without an instant it is the newest that counts; again as of the day of then.
    let elsewhere = Elsewhere::new(&stage, 2);
    elsewhere.ends(&["run", "--from-staging", "--as-of", "2026-01-22"], 0);
    same(&elsewhere.published(), &nights[2], "the newest night");
    elsewhere.forget();

    // What had not been pulled by then fails alone, in one line.
    let jobs = ["run", "etl_sales_daily", "etl_rental_fleet", "etl_app_analytics"];
    let then = ["--from-staging", "--as-of-pull", "2026-01-21T08:30:00Z"];
    let (table, _) = elsewhere.ends(&[&jobs[..], &then].concat(), 3);
    let failed = "nothing is staged of softbase_equipment 2026-01-20, softbase_rental_lines 2026-01-20, \
                  softbase_invoices 2025-11 by 2026-01-21T08:30:00Z";
    assert!(table.contains(failed) && table.contains(" more by 2026-01-21T08:30:00Z"), "{table}");
    assert!(table.contains("2 of 5 marts published"), "{table}");
    let shown = elsewhere.published();
    assert!(shown.keys().all(|(mart, ..)| mart == "mart_sales_daily") && shown.len() == 90, "{shown:?}");
    let (_, error) = elsewhere.ends(&["run", "--as-of-pull", "2026-01-21T08:30:00Z"], 2);
    assert!(error.contains("--from-staging"), "{error}");
    let after = ["run", "--from-staging", "--as-of-pull", "2026-01-21T08:30:00Z", "--as-of", "2026-01-22"];
    let (_, error) = elsewhere.ends(&after, 2);
    assert!(error.contains("--as-of 2026-01-22 has not begun"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}
