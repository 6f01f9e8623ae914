//! Nights over the dealers' ledgers: every cell against the statements of their own postings.

use chrono::{Datelike, Months, NaiveDate};
use marts::config::Config;
use marts::sandbox::business::dealer::Dealer;
use marts::sandbox::business::{calendar, text};
use marts::sandbox::tds::{self, Break, SqlError, StatementFault};
use marts::sandbox::world::WorldOptions;

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
