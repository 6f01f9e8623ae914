//! Organisations whose data are marked, nights whose sources fail by a seeded die: nothing of one ever stands in another's
//! rows, pulls or messages.

use std::collections::BTreeSet;

use marts::sandbox::business::Cell;
use marts::sandbox::business::dealer::Dealer;
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::sandbox::tds::{self, Break, Database, SqlError, StatementFault, Table};
use marts::sandbox::world::{DEALER_SCHEMA, SECOND_DEALER_SCHEMA, WorldOptions, table};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;

use super::rebuild::{Marts, published};
use super::stage::{Stage, as_of, day};

/// The dealers, who share a server, and what marks the customers of their invoices.
const DEALERS: [(&str, &str, &str); 2] =
    [("bennett", DEALER_SCHEMA, "MARKBEN"), ("ips", SECOND_DEALER_SCHEMA, "MARKIPS")];

/// A dealer's tables with every customer of an invoice named by the mark, and every total ending in the mark's cents.
fn marked(dealer: &Dealer, schema: &str, mark: &str, cents: i64) -> Vec<Table> {
    let mut tables = dealer.tables();
    let register = tables.iter_mut().find(|table| table.name == "InvoiceReg").unwrap();
    let places = ["BillTo", "ShipTo", "GrandTotal"].map(|name| register.position(name).unwrap());
    for row in &mut register.rows {
        row[places[0]] = Cell::Text(mark.to_owned());
        row[places[1]] = Cell::Text(mark.to_owned());
        if let Cell::Decimal(total) = row[places[2]] {
            let cents = if total.is_sign_negative() { -cents } else { cents };
            row[places[2]] = Cell::Decimal(total.trunc() + Decimal::new(cents, 2));
        }
    }
    tables.into_iter().map(|data| table(schema, data).unwrap()).collect()
}

/// Faults of every source, each as the die falls.
fn break_sources(stage: &Stage, die: &mut ChaCha8Rng) {
    let mut plan = tds::FaultPlan::default();
    for table in ["InvoiceReg", "[WO]", "Equipment", "GLDetail", "ChartOfAccounts"] {
        let broken = match die.random_range(0..6) {
            0 => StatementFault::AfterRows(die.random_range(1..200), Break::Error(SqlError::known(1205))),
            1 => StatementFault::AfterRows(die.random_range(1..200), Break::Reset),
            _ => continue,
        };
        let times = die.random_range(1..4);
        plan = plan.and(tds::Fault::statement(table, broken).times(times));
    }
    stage.world.softbase.set_faults(plan);
    let mut http = || match die.random_range(0..4) {
        0 => FaultPlan::new().on("GET *", 1..=3, Fault::reply(Reply::json(500, "{}"))),
        1 => FaultPlan::new().on("GET *", 2..=4, Fault::CutBody(40)),
        _ => FaultPlan::new(),
    };
    stage.world.quickbooks.set_faults(http());
    stage.world.hubspot.set_faults(http());
    stage.world.zoom.set_faults(http());
}

#[tokio::test(flavor = "multi_thread")]
async fn organisations_never_mix_however_their_nights_fail() {
    // Two months of history: every night asks for all of it.
    let options = WorldOptions { from: day("2025-11-20"), ledgers: true, ..Stage::options(23, as_of()) };
    let stage = Stage::with(options).await;
    stage.amend("[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\nhttp_timeout_secs = 5\n");
    let second = stage.world.second_dealer.as_ref().unwrap();
    let [(_, schema, mark), (_, second_schema, second_mark)] = DEALERS;
    let mut tables = marked(&stage.world.dealer, schema, mark, 17);
    tables.extend(marked(second, second_schema, second_mark, 83));
    stage.world.softbase.set_database(Database::new("evo", tables).unwrap());

    let mut die = ChaCha8Rng::seed_from_u64(1_234);
    let now = |stage: &Stage| published(|sql| stage.ends(&["postgres", "--format", "json", sql], 0).0);
    let as_of = as_of().to_string();
    let (mut rounds, mut codes): (Vec<Marts>, BTreeSet<Option<i32>>) = (Vec::new(), BTreeSet::new());
    for _ in 0..8 {
        break_sources(&stage, &mut die);
        let mut arguments = vec!["run", "--as-of", &as_of];
        // Some nights are of one or two organisations.
        for (org, ..) in DEALERS.iter().filter(|_| die.random_range(0..3) == 0) {
            arguments.extend(["--org", org]);
        }
        let output = stage.marts(&arguments);
        codes.insert(output.status.code());
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        for line in said.lines() {
            for (org, _, mark) in DEALERS {
                // A message names whose it is; no value of anybody is in it.
                assert!(!line.contains(mark), "{line}");
                let (_, other_schema, _) = DEALERS.into_iter().find(|(other, ..)| *other != org).unwrap();
                assert!(!line.contains(&format!("/{org} ")) || !line.contains(other_schema), "{line}");
            }
        }
        rounds.push(now(&stage));
    }
    assert!(codes.contains(&Some(3)) || codes.contains(&Some(1)), "something failed: {codes:?}");

    // Without faults everybody's figures come out, and whatever was published on the way was theirs already.
    stage.world.softbase.set_faults(tds::FaultPlan::default());
    stage.world.quickbooks.set_faults(FaultPlan::new());
    stage.world.hubspot.set_faults(FaultPlan::new());
    stage.world.zoom.set_faults(FaultPlan::new());
    let changes = "select count(*) from etl_changes where old_value is not null";
    stage.night(&[], 0);
    let whole = now(&stage);
    for (round, marts) in rounds.iter().enumerate() {
        for (key, row) in marts {
            assert_eq!(Some(row), whole.get(key), "round {round}: {key:?}");
        }
    }
    assert_eq!(stage.value(changes), "0", "no cell ever held anything else");
    for ((mart, org, period), row) in whole.iter().filter(|((mart, ..), _)| mart == "mart_sales_daily") {
        let other = if org == "bennett" { "ips" } else { "bennett" };
        let theirs = &whole[&(mart.clone(), other.to_owned(), *period)];
        assert!(
            row != theirs || row.contains("\"total_invoices\": 0"),
            "the two differ, so that mixing would show: {row}"
        );
    }

    // In the landing zone every row carries its organisation's mark.
    let sql = "select distinct org, trim(bill_to), trim(ship_to), abs((grand_total * 100)::bigint) % 100 from softbase_invoices order by all";
    let (csv, _) = stage.ends(&["query", "--format", "csv", sql], 0);
    let rows: BTreeSet<&str> = csv.lines().skip(1).filter(|line| !line.ends_with(',')).collect();
    let stray: Vec<_> = rows
        .iter()
        .filter(|row| !row.starts_with("bennett,MARKBEN,MARKBEN,17") && !row.starts_with("ips,MARKIPS,MARKIPS,83"))
        .collect();
    assert!(stray.is_empty() && rows.len() == 2, "{rows:?}");
}
