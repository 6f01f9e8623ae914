//! Nights over the dealers' ledgers: every cell against the statements of their own postings.

use chrono::{Datelike, Months, NaiveDate};
use marts::config::Config;
use marts::sandbox::business::dealer::Dealer;
use marts::sandbox::business::{Cell, TableData, calendar, text};
use marts::sandbox::tds::{self, Break, Database, SqlError, StatementFault, Table};
use marts::sandbox::world::{DEALER_SCHEMA, WorldOptions, table};

use super::stage::{Stage, as_of, day};

async fn stage() -> Stage {
    Stage::with(WorldOptions { ledgers: true, ..Stage::options(7, as_of()) }).await
}

const JOBS: [&str; 2] = ["etl_cash_flow", "etl_quickbooks_financial"];

fn months() -> impl Iterator<Item = (NaiveDate, NaiveDate)> {
    let first = day("2024-12-01");
    (0..14).map(move |number| first + Months::new(number)).map(|first| (first, calendar::month_end(first).min(as_of())))
}

fn cash_flow_row(dealer: &Dealer, (first, last): (NaiveDate, NaiveDate)) -> Vec<String> {
    let flow = dealer.cash_flow(first, last);
    let health = match flow.operating {
        _ if last == as_of() => "unknown",
        amount if amount > 0 => "healthy",
        amount if amount > -5_000_000 => "warning",
        _ => "critical",
    };
    let mut row = vec![first.year().to_string(), first.month().to_string(), calendar::month_end(first).to_string()];
    let amounts = [
        flow.cash_balance,
        flow.cash_change,
        flow.operating,
        flow.ar_change,
        flow.inventory_change,
        flow.ap_change,
        flow.investing,
        flow.financing,
    ];
    row.extend(amounts.map(text));
    row.push(health.into());
    row.extend([flow.working_capital, flow.investing, flow.financing, 0].map(text));
    row.extend([flow.effects.len().to_string(), "softbase_gl".into()]);
    row
}

fn effect_rows(dealer: &Dealer, (first, last): (NaiveDate, NaiveDate)) -> Vec<Vec<String>> {
    let row = |effect: &marts::sandbox::business::dealer::Effect| {
        let month = [first.year().to_string(), first.month().to_string()];
        let cells = [effect.activity.into(), effect.category.into(), text(effect.amount), effect.accounts.to_string()];
        [&month[..], &cells[..]].concat()
    };
    dealer.cash_flow(first, last).effects.iter().map(row).collect()
}

fn financial_row(dealer: &Dealer, (first, last): (NaiveDate, NaiveDate)) -> Vec<String> {
    let figures = dealer.financials(first, last);
    let gross = figures.income - figures.cost;
    // Ten-thousandths, rounded half away from zero.
    let (part, whole) = (i128::from(gross), i128::from(figures.income));
    let margin = (2 * 10_000 * part.abs() + whole) / (2 * whole) * part.signum();
    let month = calendar::month_end(first);
    let mut row = vec![first.year().to_string(), first.month().to_string(), first.to_string(), month.to_string()];
    let amounts = [
        figures.income + figures.other_income,
        figures.cost + figures.expenses + figures.other_expenses,
        figures.net_income(),
        gross,
        i64::try_from(margin).unwrap(),
        figures.assets,
        figures.liabilities,
        figures.equity,
        figures.cash,
        figures.receivables,
        figures.payables,
        figures.operating_cash_flow,
    ];
    row.extend(amounts.map(text));
    row.push("softbase_gl".into());
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_both_dealers_statements_is_what_their_postings_say() {
    let stage = stage().await;
    stage.night(&JOBS, 0);
    let second = stage.world.second_dealer.clone().unwrap();
    for (slug, dealer) in [("bennett", &stage.world.dealer), ("ips", &second)] {
        let own = format!("inner join organizations on organizations.id = org_id and slug = '{slug}'");
        let found = stage.rows(&format!(
            "select year, month, period_end, cash_balance, cash_change_mtd, operating_cash_flow, ar_change,
                inventory_change, ap_change, investing_cash_flow, financing_cash_flow, health_status,
                non_operating_breakdown #>> '{{summary,working_capital}}',
                non_operating_breakdown #>> '{{summary,investing}}',
                non_operating_breakdown #>> '{{summary,financing}}', non_operating_breakdown #>> '{{summary,other}}',
                jsonb_array_length(non_operating_breakdown -> 'entries'), source_system
            from mart_cash_flow {own} order by year, month"
        ));
        let expected: Vec<_> = months().map(|month| cash_flow_row(dealer, month)).collect();
        assert_eq!(found, expected, "{slug}");
        let found = stage.rows(&format!(
            "select year, month, entry ->> 'activity', entry ->> 'category', entry ->> 'amount', entry ->> 'accounts'
            from mart_cash_flow {own}
            cross join lateral jsonb_array_elements(non_operating_breakdown -> 'entries') with ordinality as it (entry, at)
            order by year, month, at"
        ));
        let expected: Vec<_> = months().flat_map(|month| effect_rows(dealer, month)).collect();
        assert_eq!(found, expected, "{slug}");
        let found = stage.rows(&format!(
            "select year, month, period_start, period_end, total_revenue, total_expenses, net_income, gross_profit,
                gross_margin_pct, total_assets, total_liabilities, total_equity, cash_balance, accounts_receivable,
                accounts_payable, operating_cash_flow, source_system
            from mart_financial_metrics {own} order by year, month"
        ));
        let expected: Vec<_> = months().map(|month| financial_row(dealer, month)).collect();
        assert_eq!(found, expected, "{slug}");
    }
    // The services company has its own source, and no cash flow.
    let systems = "select slug, source_system, count(*) from mart_financial_metrics
        inner join organizations on organizations.id = org_id group by 1, 2 order by 1";
    assert_eq!(
        stage.rows(systems),
        [["bennett", "softbase_gl", "14"], ["ips", "softbase_gl", "14"], ["vital", "quickbooks", "14"]]
    );
    assert_eq!(stage.value("select count(distinct org_id) from mart_cash_flow"), "2");
    let changes = "select count(*) from etl_changes";
    let before = stage.value(changes);
    let (table, _) = stage.night(&JOBS, 0);
    assert!(table.contains("5 of 5 marts published"), "{table}");
    assert_eq!(stage.value(changes), before, "the second night found nothing to change");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_breaks_off_leaves_the_marts_as_they_were_and_the_other_dealer_alone() {
    let stage = stage().await;
    stage.amend("[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\n");
    stage.night(&JOBS, 0);
    let marts = || {
        ["mart_cash_flow", "mart_financial_metrics"]
            .map(|mart| stage.rows(&format!("select * from {mart} order by id")))
    };
    let (before, staged) = (marts(), stage.staged());
    let broken = StatementFault::AfterRows(50, Break::Error(SqlError::known(1205)));
    let fault = tds::Fault::statement("[ben002].[GL]", broken).times(99);
    stage.world.softbase.set_faults(tds::FaultPlan::one(fault));
    let (table, _) = stage.night(&JOBS, 3);
    assert!(table.contains("pulling softbase_gl"), "{table}");
    assert!(table.contains("3 of 5 marts published"), "{table}");
    assert_eq!(marts(), before);
    let new: Vec<_> = stage.staged().into_iter().filter(|path| !staged.contains(path)).collect();
    let of_gl = |path: &&std::path::PathBuf| {
        let path = path.to_string_lossy();
        path.contains("softbase_gl") && path.contains("org=bennett")
    };
    assert_eq!(new.iter().filter(of_gl).count(), 0, "{new:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_whose_accounts_mean_nothing_has_neither_job_and_check_says_why() {
    let stage = stage().await;
    let text = std::fs::read_to_string(stage.config()).unwrap();
    let from = text.find("[org.softbase.ledger.accounts]").unwrap();
    let to = from + text[from..].find("[org.softbase.server]").unwrap();
    stage.reword(&text[from..to], "");
    let (checked, _) = stage.ends(&["check"], 0);
    let line = |job: &str| {
        let found = checked.lines().find(|line| line.contains("bennett") && line.contains(job));
        found.unwrap_or_else(|| panic!("{job}: {checked}")).to_owned()
    };
    for job in JOBS {
        assert!(line(job).contains("not run") && line(job).contains("has no table ledger"), "{checked}");
    }
    let (_, error) = stage.night(&["etl_cash_flow", "--org", "bennett"], 2);
    assert!(error.contains("nothing to do"), "{error}");
    let (table, _) = stage.night(&JOBS, 0);
    assert!(table.contains("3 of 3 marts published"), "{table}");

    // Classes, but none for cash: the job refuses, and so does the check.
    stage.reword("cash = [\"1010-1011\"]", "");
    let (checked, _) = stage.ends(&["check"], 2);
    assert!(checked.contains("no class cash"), "{checked}");
    let (table, _) = stage.night(&["etl_cash_flow"], 1);
    assert!(table.contains("etl_cash_flow/ips 2026-01-20") && table.contains("no class cash"), "{table}");
    let rows = "select count(*) from mart_cash_flow";
    assert_eq!(stage.value(rows), "14", "what is published stands");
}

/// What the nights prove, they prove of the classes that the example gives.
#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_has_the_classes_of_the_example() {
    let stage = stage().await;
    let config = Config::load(&stage.config()).unwrap();
    let example = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/marts.example.toml"));
    let example = Config::parse(example, stage.folder.path()).unwrap();
    for slug in ["bennett", "ips"] {
        let of = |config: &Config| config.orgs.iter().find(|org| org.slug == slug).unwrap().ledger().cloned();
        assert!(of(&config).is_some());
        assert_eq!(of(&config), of(&example), "{slug}");
    }
}

/// The first dealer's ledger is these rows of January 2026: account, type in the chart, what it moved, where it closed.
fn serve_january(stage: &Stage, accounts: &[(&str, &str, &str, &str)]) {
    let mut tables = stage.world.dealer.tables();
    let fill = |data: &mut TableData, cells: &dyn Fn(usize) -> Vec<(&'static str, Cell)>| {
        let template = data.rows[0].clone();
        data.rows = (0..accounts.len())
            .map(|at| {
                let mut row = template.clone();
                cells(at).into_iter().for_each(|(name, cell)| row[data.position(name).unwrap()] = cell);
                row
            })
            .collect();
    };
    let number = |at: usize| ("AccountNo", Cell::Text(format!("{:<10}", accounts[at].0)));
    let amount = |text: &str| Cell::Decimal(text.parse().unwrap());
    for data in &mut tables {
        match data.name {
            "GL" => fill(data, &|at| {
                let (_, _, moved, closing) = accounts[at];
                let month = [("Year", Cell::Int(2026)), ("Month", Cell::Int(1))];
                [&[number(at)][..], &month, &[("MTD", amount(moved)), ("YTD", amount(closing))]].concat()
            }),
            "ChartOfAccounts" => fill(data, &|at| vec![number(at), ("Type", Cell::Text(accounts[at].1.to_owned()))]),
            _ => {}
        }
    }
    let tables: Vec<Table> = tables.into_iter().map(|data| table(DEALER_SCHEMA, data).unwrap()).collect();
    stage.world.softbase.set_database(Database::new("evo", tables).unwrap());
}

/// A ledger with amounts below a cent that begins in the third month of the fiscal year, with profit brought forward,
/// and whose chart has a number of three digits that as text lies in the range of cash, 110000 to 115000.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_with_amounts_below_a_cent_is_published_explained_and_confirmed_to_the_cent() {
    let stage = stage().await;
    stage.reword("fiscal_year_start_month = 11", "fiscal_year_start_month = 11\nverify = \"gate\"");
    serve_january(
        &stage,
        &[
            ("110000", "A", "-4.9850", "995.0150"),
            ("120000", "A", "-0.0050", "99.9950"),
            ("183000", "A", "-0.0060", "199.9940"),
            ("210000", "L", "0", "-0.0050"),
            ("310000", "L", "0", "-599.9950"),
            ("410003", "S", "-0.0050", "-700.0050"),
            ("600900", "E", "0.0010", "0.0010"),
            ("111", "E", "5.0000", "5.0000"),
        ],
    );
    let (said, _) = stage.night(&[&JOBS[..], &["--org", "bennett"]].concat(), 0);
    assert!(said.contains("2 of 2 marts published"), "{said}");
    // Cash fell by 4.985, which is 4.99; 0.006 of assets went, 0.001 of it by depreciation: 0.005, which is 0.01.
    let flow = "select cash_balance, cash_change_mtd, operating_cash_flow, investing_cash_flow, financing_cash_flow,
            non_operating_breakdown #>> '{summary,other}' from mart_cash_flow where year = 2026";
    assert_eq!(stage.rows(flow), [["995.02", "-4.99", "-5.00", "0.01", "0.00", "0.00"]]);
    // 0.005 earned and 5.001 spent; 1295.004 of assets, of which 0.005 are owed.
    let financial = "select total_revenue, total_expenses, net_income, total_assets, total_liabilities, total_equity,
            operating_cash_flow from mart_financial_metrics where year = 2026";
    assert_eq!(stage.rows(financial), [["0.01", "5.00", "-4.99", "1295.00", "0.01", "1294.99", "-5.00"]]);
    for mart in ["mart_cash_flow", "mart_financial_metrics"] {
        stage.ends(&["explain", mart, "--org", "bennett"], 0);
    }
    let (explained, _) =
        stage.ends(&["explain", "mart_financial_metrics.net_income", "--org", "bennett", "--period", "2026-01"], 0);
    assert!(explained.contains("(by the rule)") && explained.contains("410003 2026-01"), "{explained}");
    let (said, _) = stage.ends(&["verify", "--org", "bennett", "etl_cash_flow", "etl_quickbooks_financial"], 0);
    assert!(said.contains("19 cells asked about: 19 equal"), "{said}");
}
