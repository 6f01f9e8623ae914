//! The audits of the ledger's marts: each rule fires on what it is for, and is silent otherwise.

use marts::audit::{Severity, audit};

use super::support::*;
use crate::compute::support::*;

fn good() -> Vec<Row> {
    vec![
        gl("110000", 2025, 12, "100.00", "100.00"),
        gl("310000", 2025, 12, "-100.00", "-100.00"),
        gl("110000", 2026, 1, "40.00", "140.00"),
        gl("410003", 2026, 1, "-60.00", "-60.00"),
        gl("600900", 2026, 1, "20.00", "20.00"),
    ]
}

/// What is found in December and January when one row is exchanged, by both marts' audits.
fn found(at: usize, row: Row) -> [Vec<String>; 2] {
    let mut rows = good();
    rows[at] = row;
    found_in(&rows)
}

fn found_in(rows: &[Row]) -> [Vec<String>; 2] {
    [cash_flow, financials].map(|scene| {
        let findings = scene(bennett(), "2025-12-01", "2026-02-01", rows).findings(&[]);
        let findings = findings.iter().filter(|finding| finding.period != Some(day("2026-02-01")));
        findings.map(|finding| format!("{} {}", finding.severity, finding.rule)).collect()
    })
}

#[test]
fn a_good_ledger_has_no_findings() {
    assert_eq!(found_in(&good()), [Vec::<String>::new(), Vec::new()]);
}

#[test]
fn a_month_whose_movements_do_not_sum_to_zero_is_held() {
    let rows: Vec<Row> = good().into_iter().take(4).collect();
    let scene = cash_flow(bennett(), "2025-12-01", "2026-02-01", &rows);
    let findings = scene.findings(&[]);
    let held: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert_eq!(held.len(), 2, "{held:?}");
    assert!(held.iter().all(|finding| finding.period == Some(day("2026-01-01"))), "{held:?}");
    assert!(held.iter().any(|finding| finding.rule == "month_balance" && finding.detail.contains("-20.0000")));
    assert!(held.iter().any(|finding| finding.rule == "cash_change"));
    assert_eq!(scene.mart()[1]["health_status"], "unknown");
}

#[test]
fn what_the_ledger_breaks_is_found_by_both_audits() {
    // Cash that does not roll forward holds the month, other accounts are only told.
    let [flow, financial] = found(2, gl("110000", 2026, 1, "40.00", "150.00"));
    assert_eq!(flow, ["error cash_balance", "error roll_forward"]);
    assert_eq!(financial, ["error balance", "error roll_forward"]);
    let mut rows = good();
    rows.push(gl("600900", 2025, 12, "0", "5.00"));
    rows.push(gl("601800", 2025, 12, "0", "-5.00"));
    let [flow, financial] = found_in(&rows);
    assert_eq!(flow, ["warning roll_forward"]);
    assert_eq!(financial, ["error balance", "warning roll_forward"]);
    // An amount that is missing is not zero.
    let [flow, _] = found(4, gl("600900", 2026, 1, "20.00", "20.00").null("mtd"));
    assert!(flow.contains(&"error amount_missing".to_owned()), "{flow:?}");
    let [_, financial] = found(4, gl("600900", 2026, 1, "20.00", "20.00").null("ytd"));
    assert!(financial.contains(&"error amount_missing".to_owned()), "{financial:?}");
    // Months that are none, and a closed month without rows.
    let mut rows = good();
    rows.push(gl("110000", 2026, 14, "1.00", "1.00"));
    assert_eq!(found_in(&rows), [vec!["warning odd_month"], vec!["warning odd_month"]]);
    let rows = &good()[..2];
    assert_eq!(found_in(rows), [vec!["error month_without_rows"], vec!["error month_without_rows"]]);
    // Before the first posting there is nothing to miss.
    assert_eq!(found_in(&good()[2..])[0], Vec::<String>::new());
}

#[test]
fn a_wrong_start_of_the_fiscal_year_is_noticed() {
    let mut org = bennett();
    org.fiscal_year_start_month = 1;
    let rows = [
        gl("110000", 2025, 12, "100.00", "100.00"),
        gl("410003", 2025, 12, "-100.00", "-100.00"),
        gl("110000", 2026, 1, "10.00", "110.00"),
        gl("410003", 2026, 1, "-10.00", "-110.00"),
    ];
    let rules = cash_flow(org, "2026-01-01", "2026-01-31", &rows).rules();
    assert_eq!(rules, [("roll_forward".into(), Some(day("2026-01-01")))]);
}

#[test]
fn profit_that_was_not_closed_holds_the_balance() {
    let rows = [
        gl("110000", 2025, 10, "100.00", "100.00"),
        gl("410003", 2025, 10, "-100.00", "-100.00"),
        gl("110000", 2025, 11, "1.00", "101.00"),
        gl("410003", 2025, 11, "-1.00", "-1.00"),
    ];
    let findings = financials(bennett(), "2025-11-01", "2025-12-01", &rows).findings(&[]);
    let balance = findings.iter().find(|finding| finding.rule == "balance").unwrap();
    assert!(balance.detail.contains("retained earnings"), "{balance}");
}

/// The closing of October stands in month 13 alone: what it says is not read, and the finding says where it is.
#[test]
fn a_closing_that_only_month_13_has_is_named() {
    let year = [
        gl("110000", 2025, 10, "100.00", "100.00"),
        gl("340000", 2025, 10, "0", "0"),
        gl("410003", 2025, 10, "-100.00", "-100.00"),
        gl("110000", 2025, 11, "7.00", "107.00"),
        gl("410003", 2025, 11, "-7.00", "-7.00"),
        gl("340000", 2025, 13, "-100.00", "-100.00"),
        gl("410003", 2025, 13, "100.00", "0"),
    ];
    let details = |rows: &[Row]| {
        let findings = financials(bennett(), "2025-10-01", "2025-12-01", rows).findings(&[]);
        let balance = findings.into_iter().filter(|finding| finding.rule == "balance");
        balance.map(|finding| format!("{} {}", finding.period.unwrap(), finding.detail)).collect::<Vec<_>>()
    };
    let held = details(&year);
    let named = "account 340000 stands at -100.0000 in month 13 of 2025, which is not read";
    assert_eq!(held.len(), 2, "November and, with its balances, December: {held:?}");
    assert!(held.iter().all(|detail| detail.contains(named)), "{held:?}");
    // With its next row the account has it.
    let next = gl("340000", 2025, 11, "0", "-100.00");
    assert_eq!(details(&[&year[..], &[next]].concat()), [] as [String; 0]);
}

#[test]
fn classes_and_marks_that_match_nothing_of_use_are_told() {
    let rows = [gl("1010001", 2026, 1, "70.00", "170.00"), gl("1110001", 2026, 1, "-70.00", "-170.00")];
    let mut org = ips();
    let ledger = org.softbase.as_mut().unwrap().ledger.as_mut().unwrap();
    let cash = ledger.accounts.iter_mut().filter(|range| range.class == "cash");
    cash.for_each(|range| (range.first, range.last) = ("9".into(), "9".into()));
    for scene in [cash_flow, financials] {
        let findings = scene(org.clone(), "2026-01-01", "2026-01-31", &rows).findings(&[]);
        let held = findings.iter().find(|finding| finding.severity == Severity::Error).expect("the mart is held");
        assert_eq!(
            held.to_string(),
            "error no_cash: none of the 2 accounts of the ledger, such as 1010001, lies in the class cash of \
             [org.softbase.ledger.accounts]: correct its ranges"
        );
    }
    // An account that is cash, though not of the months asked for: there is no doubt about the ranges.
    let rows = [gl("131000", 2025, 12, "1.00", "1.00"), gl("310000", 2025, 12, "-1.00", "-1.00"), good().remove(2)];
    assert_eq!(cash_flow(bennett(), "2025-12-01", "2025-12-31", &rows).rules(), []);

    // Accumulated depreciation is the other side of the mark.
    let mut org = bennett();
    let ledger = org.softbase.as_mut().unwrap().ledger.as_mut().unwrap();
    ledger.depreciation.iter_mut().for_each(|range| (range.first, range.last) = ("193000".into(), "193000".into()));
    let mut rows = good();
    rows[4] = gl("193000", 2026, 1, "20.00", "20.00");
    let findings = cash_flow(org, "2025-12-01", "2026-01-31", &rows).findings(&[]);
    let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["warning depreciation_mark: 1 accounts marked as depreciation are not of profit and loss, so nothing of \
             them is added back: 193000 accumulated_depreciation"]
    );
}

#[test]
fn rows_of_months_to_come_are_left_out_and_told_and_month_13_is_not() {
    let mut rows = good();
    // The month that begins on the day after the last one reported has begun when the night runs.
    rows.push(gl("110000", 2026, 2, "5.00", "145.00"));
    rows.push(gl("110000", 2026, 13, "5.00", "145.00"));
    let rules = |rows: &[Row]| cash_flow(bennett(), "2025-12-01", "2026-01-31", rows).findings(&[]);
    assert_eq!(rules(&rows), []);
    rows.push(gl("310000", 2026, 3, "-5.00", "-105.00"));
    let said: Vec<_> = rules(&rows).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["warning odd_month: 1 rows of months after 2026-01-31 are left out, such as account 310000 in 3 of 2026"]
    );
}

/// Up to its lag a month is open: that nothing is posted in it is no error, and that it grows no jump.
#[test]
fn a_month_in_its_lag_is_open() {
    let of = |lag: u16, name: &str, as_of: &str, rows: &[Row]| {
        let mut org = bennett();
        org.softbase.as_mut().unwrap().ledger.as_mut().unwrap().close_lag_days = lag;
        let chart = [account("110000", "A")];
        scene(name, org, "2025-12-01", as_of, rows, &chart)
    };
    let said = |scene: &Scene, published: &[_]| {
        let of_january = |finding: &marts::audit::Finding| finding.period == Some(day("2026-01-01"));
        let findings = scene.findings(published).into_iter().filter(of_january);
        findings.map(|finding| format!("{} {}", finding.severity, finding.rule)).collect::<Vec<_>>()
    };
    let mut more = good();
    more[2] = gl("110000", 2026, 1, "240.00", "340.00");
    more[3] = gl("410003", 2026, 1, "-260.00", "-260.00");
    for (name, of_more, of_less) in [
        ("etl_cash_flow", &["warning jump", "warning jump"][..], &[][..]),
        ("etl_quickbooks_financial", &["warning jump", "warning jump"], &["warning volume"]),
    ] {
        for (lag, empty) in [(0, "error month_without_rows"), (1, "error month_without_rows"), (10, "warning stale")] {
            let scene = of(lag, name, "2026-02-02", &good()[..2]);
            assert_eq!(said(&scene, &[]), [empty], "{name} {lag}");
            let is_open = lag == 10;
            let published = of(lag, name, "2026-02-02", &good()).compute().unwrap().1;
            let found = said(&of(lag, name, "2026-02-02", &more), &published);
            assert_eq!(found, if is_open { &[][..] } else { of_more }, "{name} {lag}");
            if is_open {
                let published = of(lag, name, "2026-02-02", &more).compute().unwrap().1;
                assert_eq!(said(&of(lag, name, "2026-02-02", &good()), &published), of_less, "{name} {lag}");
            }
        }
    }
}

#[test]
fn figures_that_sql_cannot_break_are_audited_all_the_same() {
    let broken = |job: &str, update: &str| {
        let scene = scene(job, bennett(), "2025-12-01", "2026-01-31", &good(), &[account("110000", "A")]);
        let (compute, _) = scene.compute().unwrap();
        compute.connection().execute_batch(&format!("update mart set {update} where month = 1")).unwrap();
        let findings = audit(&compute, &[]).unwrap();
        findings.into_iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    assert_eq!(broken("etl_cash_flow", "operating_cash_flow = 60.01"), ["cash_change"]);
    assert_eq!(broken("etl_cash_flow", "cash_balance = 140.01"), ["cash_balance"]);
    assert_eq!(
        broken("etl_cash_flow", "investing_cash_flow = 1, operating_cash_flow = 39"),
        ["breakdown"],
        "the sections still add up"
    );
    assert_eq!(broken("etl_quickbooks_financial", "net_income = 40.01"), ["net_income"]);
    assert_eq!(broken("etl_quickbooks_financial", "total_assets = 140.01"), ["balance"]);
}

#[test]
fn a_closed_month_that_moved_much_is_a_warning() {
    let published = cash_flow(bennett(), "2025-12-01", "2026-02-01", &good()).compute().unwrap().1;
    let mut rows = good();
    rows[2] = gl("110000", 2026, 1, "240.00", "340.00");
    rows[3] = gl("410003", 2026, 1, "-260.00", "-260.00");
    let findings = cash_flow(bennett(), "2025-12-01", "2026-02-01", &rows).findings(&published);
    let jumps: Vec<_> = findings.iter().filter(|finding| finding.rule == "jump").map(|it| it.detail.as_str()).collect();
    assert_eq!(
        jumps,
        ["cash_balance is 340.00 where 140.00 is published", "operating_cash_flow is 260.00 where 60.00 is published",]
    );
}

#[test]
fn a_margin_that_its_column_cannot_hold_is_null_and_told() {
    let mut rows = good();
    rows[3] = gl("410003", 2026, 1, "-0.01", "-0.01");
    rows.push(gl("510003", 2026, 1, "-59.99", "-59.99"));
    let scene = financials(bennett(), "2026-01-01", "2026-01-31", &rows);
    assert_eq!(scene.mart()[0]["gross_margin_pct"], "null");
    assert_eq!(scene.rules(), [("gross_margin_pct".into(), Some(day("2026-01-01")))]);
}
