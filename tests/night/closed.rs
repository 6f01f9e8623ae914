//! Months that are closed: a change to what is published of them is held until somebody accepts it.

use marts::sandbox::business::{Cell, TableData};
use marts::sandbox::tds::{Database, Table};
use marts::sandbox::world::{DEALER_SCHEMA, WorldOptions, table};
use rust_decimal::Decimal;

use super::stage::{Stage, as_of, day};

pub const CLOSED_DAY: &str = "2025-12-15";
pub const OPEN_DAY: &str = "2026-01-12";

/// Closes months of the dealer.
pub fn close(stage: &Stage, how: &str) {
    stage.reword("fiscal_year_start_month = 11", &format!("fiscal_year_start_month = 11\n{how}"));
}

/// The dealer's server with its register changed.
pub fn serve(stage: &Stage, change: impl FnOnce(&mut TableData)) {
    serve_table(stage, "InvoiceReg", change);
}

/// The dealer's server with one table changed, and all others as they were generated.
pub fn serve_table(stage: &Stage, name: &str, change: impl FnOnce(&mut TableData)) {
    let mut tables = stage.world.dealer.tables();
    change(tables.iter_mut().find(|table| table.name == name).unwrap());
    let tables: Vec<Table> = tables.into_iter().map(|data| table(DEALER_SCHEMA, data).unwrap()).collect();
    stage.world.softbase.set_database(Database::new("evo", tables).unwrap());
}

/// The first invoice of a day that has labour.
fn invoice_of(register: &TableData, date: &str) -> usize {
    let at = |name: &str| register.position(name).unwrap();
    let is_it = |row: &&Vec<Cell>| {
        matches!(&row[at("InvoiceDate")], Cell::DateTime(instant) if instant.date() == day(date))
            && matches!(&row[at("GrandTotal")], Cell::Decimal(_))
            && matches!(&row[at("LaborTaxable")], Cell::Decimal(amount) if !amount.is_zero())
    };
    register.rows.iter().position(|row| is_it(&row)).unwrap()
}

/// Voids, at an instant, the rows that are picked, and returns how many.
pub fn void(table: &mut TableData, at: &str, is_picked: impl Fn(&TableData, &[Cell]) -> bool) -> usize {
    let mark = table.position("DeletionTime").unwrap();
    let picked: Vec<usize> = (0..table.rows.len()).filter(|row| is_picked(table, &table.rows[*row])).collect();
    for row in &picked {
        table.rows[*row][mark] = Cell::DateTime(day(at).and_hms_opt(7, 0, 0).unwrap());
    }
    picked.len()
}

/// 100.00 more labour on an invoice of the day.
pub fn more_labour(register: &mut TableData, date: &str) {
    let row = invoice_of(register, date);
    for name in ["GrandTotal", "LaborTaxable"] {
        let column = register.position(name).unwrap();
        let Cell::Decimal(amount) = &mut register.rows[row][column] else { panic!("{name} is no amount") };
        *amount += Decimal::from(100);
    }
}

pub fn revenue(stage: &Stage, date: &str) -> Decimal {
    stage.value(&format!("select total_revenue from mart_sales_daily where sales_date = '{date}'")).parse().unwrap()
}

fn newest_run(stage: &Stage) -> String {
    stage.value("select run_id from etl_runs order by started_at desc limit 1")
}

const REASON: &str = "--reason=credit note 4711 belongs to December";

#[tokio::test(flavor = "multi_thread")]
async fn a_change_to_a_closed_month_is_held_until_it_is_accepted_with_a_reason() {
    let stage = Stage::start().await;
    close(&stage, "closed_through = \"2025-12\"");
    stage.night(&["etl_sales_daily"], 0);
    assert_eq!(stage.value("select count(*) from mart_sales_daily"), "45", "the first rows of a month change nothing");
    let first = newest_run(&stage);
    let (closed, open) = (revenue(&stage, CLOSED_DAY), revenue(&stage, OPEN_DAY));
    let service: Decimal = stage
        .value(&format!("select service_revenue from mart_sales_daily where sales_date = '{CLOSED_DAY}'"))
        .parse()
        .unwrap();
    stage.night(&["etl_sales_daily"], 0);

    serve(&stage, |register| {
        more_labour(register, CLOSED_DAY);
        more_labour(register, OPEN_DAY);
    });
    let more = Decimal::from(100);
    let (said, _) = stage.night(&["etl_sales_daily"], 3);
    let held = newest_run(&stage);
    let finding = format!(
        "error closed {CLOSED_DAY}: 2025-12 is closed: service_revenue {service} → {}, total_revenue {closed} → {}\n",
        service + more,
        closed + more
    );
    assert!(said.contains(&finding), "{finding} is not in {said}");
    let accept = format!("accept {held} --org bennett --mart mart_sales_daily --reason '…'");
    assert!(said.contains(&accept), "{said}");
    assert_eq!((revenue(&stage, CLOSED_DAY), revenue(&stage, OPEN_DAY)), (closed, open + more));

    // What was held can be looked into: what its rows make, why it is held, and what is published in its place.
    let look = format!("explain mart_sales_daily.service_revenue --org bennett --period {CLOSED_DAY} --run {held}");
    assert!(said.contains(&look), "{look} is not in {said}");
    let (explained, _) = stage.ends(&look.split(' ').collect::<Vec<_>>(), 0);
    assert!(explained.contains(&format!("published  {service}\n")), "{explained}");
    assert!(
        explained.contains(&format!("held       closed: 2025-12 is closed: service_revenue {service} → ")),
        "{explained}"
    );
    let verdict = format!("{}: held, and not published; {service} is published\n", (service + more).normalize());
    assert!(explained.ends_with(&verdict), "{verdict} does not end {explained}");
    let of_open = ["explain", "mart_sales_daily.total_revenue", "--org=bennett", "--period", OPEN_DAY, "--run", &held];
    let (explained, _) = stage.ends(&of_open, 0);
    assert!(explained.ends_with("equals what is published\n"), "the run published the other row: {explained}");

    // Held again every night, and only the newest may be accepted.
    stage.night(&["etl_sales_daily"], 3);
    let newest = newest_run(&stage);
    let refused = |arguments: &[&str], code, said: &str| {
        let (_, error) = stage.ends(&[&["accept"], arguments].concat(), code);
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert_eq!(revenue(&stage, CLOSED_DAY), closed, "{arguments:?}");
        assert_eq!(stage.value("select count(*) from etl_acceptances"), "0");
    };
    refused(&[&newest], 2, "--reason");
    refused(&[&newest, "--reason= \t "], 2, "it may not be blank");
    refused(&[&newest, REASON, "--by="], 2, "it may not be blank");
    refused(&["1999", REASON], 2, "there is no run 1999; `marts runs` lists them");
    refused(&["2", REASON], 2, "runs begin with 2; name one of them");
    refused(&[&newest, REASON, "--org=nobody"], 2, "nobody");
    refused(
        &[&newest, REASON, "--org=vital"],
        1,
        &format!("run {newest} held nothing of vital because of closed months"),
    );
    refused(&[&first, REASON], 1, &format!("run {first} held nothing because of closed months"));
    refused(&[&held, REASON], 1, &format!("run {newest} has restated {CLOSED_DAY} in mart_sales_daily of bennett"));

    // Computed from what the run had read: the source is not asked again, and may say something else by now.
    serve(&stage, |_| {});
    let (said, _) = stage.ends(&["accept", &newest, REASON, "--by", "anna"], 0);
    assert!(said.contains("credit note 4711 belongs to December") && said.contains(CLOSED_DAY), "{said}");
    assert_eq!(revenue(&stage, CLOSED_DAY), closed + more);
    let run = newest_run(&stage);
    assert_eq!(
        stage.rows("select run_id, accepted_run, mart, periods[1], cardinality(periods), reason, accepted_by from etl_acceptances"),
        [[&*run, &*newest, "mart_sales_daily", CLOSED_DAY, "1", "credit note 4711 belongs to December", "anna"]]
    );
    let changes = format!("select column_name, old_value, new_value from etl_changes where run_id = '{run}'");
    assert_eq!(
        stage.rows(&changes),
        [
            ["service_revenue".to_owned(), service.to_string(), (service + more).to_string()],
            ["total_revenue".to_owned(), closed.to_string(), (closed + more).to_string()],
        ]
    );
    let (shown, _) = stage.ends(&["show", &newest], 0);
    assert!(shown.contains("credit note 4711") && shown.contains("anna") && shown.contains(&run), "{shown}");
    let (_, error) = stage.ends(&["accept", &newest, REASON], 1);
    assert!(error.contains(&format!("has been accepted already, by run {run}")), "{error}");
    // Where the number comes from is the acceptance's to tell, of no other day.
    let explain = |date: &str| {
        let cell = ["explain", "mart_sales_daily.total_revenue", "--org=bennett", "--period", date];
        stage.ends(&cell, 0).0
    };
    assert!(explain(CLOSED_DAY).contains(&run) && explain(OPEN_DAY).contains(&newest));

    // The next night finds what it would publish.
    serve(&stage, |register| {
        more_labour(register, CLOSED_DAY);
        more_labour(register, OPEN_DAY);
    });
    stage.night(&["etl_sales_daily"], 0);
    assert_eq!(revenue(&stage, CLOSED_DAY), closed + more);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_out_otherwise_than_it_was_held_cannot_be_accepted() {
    let stage = Stage::start().await;
    close(&stage, "closed_through = \"2025-12\"");
    stage.night(&["etl_sales_daily"], 0);
    let before = revenue(&stage, CLOSED_DAY);
    serve(&stage, |register| more_labour(register, CLOSED_DAY));
    stage.night(&["etl_sales_daily"], 3);
    let run = newest_run(&stage);
    // The settings say what a figure means: with others the run's rows are not what was held.
    stage.reword("schema = \"ben002\"", "schema = \"ben002\"\ntotal_includes_tax = true");
    let (_, error) = stage.ends(&["accept", &run, REASON], 1);
    assert!(error.contains("does not come out as it did in run") && error.contains(CLOSED_DAY), "{error}");
    stage.reword("\ntotal_includes_tax = true", "");
    assert_eq!(revenue(&stage, CLOSED_DAY), before);
    // What is published meanwhile, by hand, is not what the change was told against.
    let by_hand = |amount: &str| {
        let set = format!(
            "update mart_sales_daily set parts_revenue = parts_revenue {amount} where sales_date = '{CLOSED_DAY}'"
        );
        stage.ends(&["postgres", &set], 0);
    };
    by_hand("+ 1");
    let (_, error) = stage.ends(&["accept", &run, REASON], 1);
    assert!(
        error.contains(&format!("what is published of mart_sales_daily of bennett for {CLOSED_DAY} has changed")),
        "{error}"
    );
    by_hand("- 1");
    // Without a name, the account's.
    stage.ends(&["accept", &run, REASON], 0);
    assert_eq!(revenue(&stage, CLOSED_DAY), before + Decimal::from(100));
    assert_eq!(stage.value("select count(*) from etl_acceptances where accepted_by <> ''"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn months_close_by_themselves_and_no_older_day_opens_them() {
    let stage = Stage::start().await;
    // 20 days before the 20th is the last of December: that month closes the night after.
    close(&stage, "close_after_days = 20");
    stage.night(&["etl_sales_daily"], 0);
    let before = revenue(&stage, CLOSED_DAY);
    serve(&stage, |register| more_labour(register, CLOSED_DAY));
    stage.night(&["etl_sales_daily"], 0);
    let more = before + Decimal::from(100);
    assert_eq!(revenue(&stage, CLOSED_DAY), more);
    stage.reword("close_after_days = 20", "close_after_days = 19");
    serve(&stage, |_| {});
    stage.night(&["etl_sales_daily"], 3);
    // On the 10th December was open; it is the 20th now, whatever day is reported.
    stage.ends(&["run", "etl_sales_daily", "--as-of", "2026-01-10"], 3);
    assert_eq!(revenue(&stage, CLOSED_DAY), more);
    // A row that is new in a closed month changes the month; the first of a month do not, for nobody has read any of it.
    let rows = |month: &str| {
        let first = format!("date '{month}-01'");
        stage.value(&format!(
            "select count(*) from mart_sales_daily where sales_date >= {first} and sales_date < {first} + interval '1 month'"
        ))
    };
    assert_eq!((rows("2025-11"), rows("2025-12")), ("4".to_owned(), "25".to_owned()), "45 days that end with the 10th");
    stage.reword("close_after_days = 19", "closed_through = \"2025-12\"");
    let (said, _) = stage.ends(&["run", "etl_sales_daily", "--from", "2025-12-05", "--to", "2025-12-06"], 1);
    assert!(
        said.contains("error closed 2025-12-05: 2025-12 is closed, and has other rows; this one is new: "),
        "{said}"
    );
    let run = newest_run(&stage);
    stage.ends(&["accept", &run, "--reason", "the days before the start"], 0);
    assert_eq!(rows("2025-12"), "27");
    let (_, error) = {
        stage.reword("closed_through = \"2025-12\"", "closed_through = \"2025-13\"");
        stage.night(&["etl_sales_daily"], 2)
    };
    assert!(error.contains("\"2025-13\" is not a month: write it as in \"2024-02\""), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn months_and_documents_are_compared_by_what_they_say() {
    let stage = Stage::start().await;
    stage.reword("fiscal_year_start_month = 1\n", "fiscal_year_start_month = 1\nclosed_through = \"2026-01\"\n");
    let jobs = ["etl_quickbooks_financial", "etl_hubspot_deals"];
    stage.night(&jobs, 0);
    stage.night(&jobs, 0);
    let stages = stage.value("select deals_by_stage ->> 'closedwon' is not null from mart_crm_deals");
    assert_eq!(stages, "t");
    // By hand, so that what the sources say is a change.
    for set in [
        "update mart_financial_metrics set total_assets = total_assets + 0.01 where year = 2025 and month = 11",
        "update mart_crm_deals set deals_by_stage = jsonb_set(deals_by_stage, '{closedwon,count}', '0')",
    ] {
        stage.ends(&["postgres", set], 0);
    }
    let won = "select count(*) from mart_crm_deals where deals_by_stage -> 'closedwon' ->> 'count' = '0'";
    let (said, _) = stage.night(&[&jobs[..], &["--from-staging"]].concat(), 3);
    assert!(said.contains("error closed 2025-11-01: 2025-11 is closed: total_assets "), "{said}");
    assert!(
        said.contains("error closed 2026-01-20: 2026-01 is closed: deals_by_stage closedwon / count 0 → "),
        "{said}"
    );
    let run = newest_run(&stage);
    // One mart of two, then the other: each is accepted once.
    stage.ends(&["accept", &run, REASON, "--mart=mart_crm_deals"], 0);
    assert_eq!(stage.value(won), "0");
    let (_, error) = stage.ends(&["accept", &run, REASON], 1);
    assert!(error.contains("mart_crm_deals of vital has been accepted already"), "{error}");
    stage.ends(&["accept", &run, REASON, "--mart=mart_financial_metrics"], 0);
    stage.night(&[&jobs[..], &["--from-staging"]].concat(), 0);
}

/// close_after_days says when a month's figures stand, close_lag_days when they are judged; neither waits for the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_closes_before_it_is_judged_is_judged_all_the_same() {
    let stage = Stage::with(WorldOptions { ledgers: true, ..Stage::options(7, as_of()) }).await;
    close(&stage, "close_after_days = 0");
    stage.reword(
        "[org.softbase.ledger.accounts]",
        "[org.softbase.ledger]\nclose_lag_days = 6\n\n[org.softbase.ledger.accounts]",
    );
    let night = |day: &str, code| stage.ends(&["run", "etl_cash_flow", "--org", "bennett", "--as-of", day], code).0;
    let december =
        || stage.rows("select health_status, operating_cash_flow from mart_cash_flow where month = 12 and year = 2025");
    // On 6 January December is closed, and in its lag.
    night("2026-01-06", 0);
    let [open] = <[_; 1]>::try_from(december()).unwrap();
    assert_eq!(open[0], "unknown");
    night("2026-01-07", 0);
    let [judged] = <[_; 1]>::try_from(december()).unwrap();
    let operating: Decimal = judged[1].parse().unwrap();
    let health = if operating > Decimal::ZERO { "healthy" } else { "critical" };
    assert_eq!(judged[0], health, "{operating} is far from both thresholds");
    assert_eq!(judged[1], open[1], "the figures are the same");

    // A judgement that changes is a change like any other.
    stage
        .ends(&["postgres", "update mart_cash_flow set health_status = 'warning' where month = 12 and year = 2025"], 0);
    let said = night("2026-01-20", 3);
    let finding = format!("error closed 2025-12-01: 2025-12 is closed: health_status warning → {health}\n");
    assert!(said.contains(&finding), "{finding} is not in {said}");
}
