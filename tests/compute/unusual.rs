//! What audits say of rows that are sound and unusual: against what is published, and for how long nothing was new.

use arrow::array::RecordBatch;
use marts::audit::audit;
use marts::config::{Audit, Org};

use super::financial::{Month, REPORT, account, computed, financial, total};
use super::support::*;
use super::{crm, fleet, zoom};

const TODAY: &str = "2026-01-20";

fn said(scene: &Scene, published: &[RecordBatch]) -> Vec<String> {
    scene.findings(published).iter().map(ToString::to_string).collect()
}

/// The rows of a scene with some figures changed, as if they were published.
fn changed(scene: &Scene, update: &str) -> Vec<RecordBatch> {
    let (compute, _) = scene.compute().unwrap();
    compute.connection().execute_batch(&format!("update mart set {update}")).unwrap();
    compute.rows_except(&Default::default()).unwrap()
}

fn no_findings() -> Vec<String> {
    Vec::new()
}

/// Ten invoices of 16.00 on the last of two days.
fn ten_invoices(org: Org) -> Scene {
    let of =
        |number: i32| invoice(&number.to_string(), TODAY).amount("labor_taxable", "16").amount("grand_total", "16");
    let invoices: Vec<_> = (0..10).map(of).collect();
    sales(org, "2026-01-19", TODAY, &invoices, &[work_order("1", "2026-01-01")])
}

#[test]
fn a_day_whose_revenue_moved_far_is_a_warning() {
    let scene = ten_invoices(org());
    let was = |figures: &str| changed(&scene, &format!("{figures} where sales_date = '{TODAY}'"));
    let told = |from| [format!("warning jump {TODAY}: total_revenue is 160.00 where {from} is published")];
    assert_eq!(said(&scene, &was("total_revenue = 106.66")), told("106.66"), "by more than half of what it was");
    assert_eq!(said(&scene, &was("total_revenue = 106.67")), no_findings());
    assert_eq!(said(&scene, &was("total_revenue = 320.01")), told("320.01"), "down as well as up");
    assert_eq!(said(&scene, &was("total_revenue = 320.00")), no_findings());
    assert_eq!(said(&scene, &was("total_revenue = 1, total_invoices = 4")), no_findings(), "a handful of invoices");
    assert_eq!(
        said(&scene, &was("total_revenue = 999, total_invoices = 21")),
        [format!("warning volume {TODAY}: 10 invoices where 21 are published")],
        "what went with its invoices is said once"
    );
}

#[test]
fn an_organisation_may_warn_earlier_or_later() {
    let mut strict = org();
    strict.audit = Audit { drop_pct: 0, jump_pct: 1, stale_days: 1 };
    let scene = ten_invoices(strict);
    let was = |figures: &str| changed(&scene, &format!("{figures} where sales_date = '{TODAY}'"));
    let rules = |published: &[RecordBatch]| -> Vec<_> {
        scene.findings(published).into_iter().map(|finding| finding.rule).collect()
    };
    assert_eq!(rules(&was("total_revenue = 158.00")), ["jump"]);
    assert_eq!(rules(&was("total_revenue = 159.00")), [] as [&str; 0]);
    assert_eq!(rules(&was("total_invoices = 11")), ["volume"], "a single invoice less");

    let orders = [work_order("1", "2026-01-01")];
    let old = [invoice("1", "2026-01-19").amount("labor_taxable", "1").amount("grand_total", "1")];
    let stale = |stale_days| {
        let org = Org { audit: Audit { stale_days, ..Audit::default() }, ..org() };
        said(&sales(org, "2026-01-19", TODAY, &old, &orders), &[])
    };
    let told = format!("warning stale: the newest invoice is of 2026-01-19, and the last day reported is {TODAY}");
    assert_eq!((stale(1), stale(2)), (vec![told], no_findings()));
}

#[test]
fn days_that_have_no_row_are_told_once_and_months_too() {
    let scene = ten_invoices(org());
    let earlier = |days: u32| changed(&scene, &format!("sales_date = sales_date - {days}"));
    assert_eq!(said(&scene, &earlier(2)), no_findings(), "the days before are published");
    let what = "--from and --to restate what the source, or staging, still has";
    let told = |count: u32, from: &str, to: &str| {
        format!(
            "warning gap: no row is published of {count} days before the first of this run, from {from} to {to}: {what}"
        )
    };
    assert_eq!(said(&scene, &earlier(3)), [told(1, "2026-01-18", "2026-01-18")]);
    assert_eq!(said(&scene, &earlier(12)), [told(10, "2026-01-09", "2026-01-18")]);
    // What is published later than the first day of the run does not matter, nor do months that have no rows.
    let both = [earlier(12), changed(&scene, "sales_date = sales_date + 30")].concat();
    assert_eq!(said(&scene, &both), [told(10, "2026-01-09", "2026-01-18")]);
    assert_eq!(said(&scene, &changed(&scene, "sales_date = sales_date + 30")), no_findings());
    let org = Org { excluded_months: vec![day("2025-12-01")], ..org() };
    assert_eq!(said(&ten_invoices(org), &earlier(21)), [told(18, "2026-01-01", "2026-01-18")]);

    let month = Month::good();
    let scene = financial("2026-03-31", &[("2026-03-01", "2026-03-31", &month)]);
    let earlier = |year: i32, month: i32| changed(&scene, &format!("year = {year}, month = {month}"));
    assert_eq!(said(&scene, &earlier(2026, 2)), no_findings());
    assert_eq!(
        said(&scene, &earlier(2025, 12)),
        [format!(
            "warning gap: no row is published of 2 months before the first of this run, from 2026-01-01 to 2026-02-01: {what}"
        )]
    );
}

#[test]
fn contacts_that_jump_or_stand_still_are_a_warning() {
    let many = |count: usize, as_of: &str| {
        let rows: Vec<_> = (0..count).map(|id| crm::contact(&id.to_string(), Some("lead"), crm::LONG_AGO)).collect();
        crm::contacts_at(as_of, &rows)
    };
    let published = many(10, "2026-01-19").compute().unwrap().1;
    assert_eq!(said(&many(15, TODAY), &published), no_findings());
    assert_eq!(
        said(&many(16, TODAY), &published),
        [format!("warning jump {TODAY}: 16 contacts where 10 are published for 2026-01-19")]
    );
    let few = many(4, "2026-01-19").compute().unwrap().1;
    assert_eq!(said(&many(40, TODAY), &few), no_findings(), "a handful");
    // Five days before the end of the 20th in Chicago.
    let silent = |at: &str| said(&crm::contacts_at(TODAY, &[crm::contact("1", None, at).at("modified_at", at)]), &[]);
    assert_eq!(silent("2026-01-16T06:00:00Z"), no_findings());
    assert_eq!(
        silent("2026-01-16T05:59:59Z"),
        [format!("warning stale {TODAY}: the newest contact was created or changed at 2026-01-16 05:59:59 UTC")]
    );
}

#[test]
fn deals_and_a_pipeline_that_jump_or_stand_still_are_a_warning() {
    let many = |count: usize, amount: &str| {
        let rows: Vec<_> = (0..count).map(|id| crm::deal(&id.to_string(), "qualifiedtobuy", amount)).collect();
        crm::deals(&rows)
    };
    let published = many(10, "10").compute().unwrap().1;
    assert_eq!(said(&many(15, "10"), &published), no_findings());
    assert_eq!(
        said(&many(16, "5"), &published),
        [format!("warning jump {TODAY}: 16 deals where 10 are published for {TODAY}")]
    );
    for (amount, value) in [("15.01", "150.10"), ("4.99", "49.90")] {
        let told = format!("total_pipeline_value is {value} where 100.00 is published for {TODAY}");
        assert_eq!(said(&many(10, amount), &published), [format!("warning jump {TODAY}: {told}")]);
    }
    assert_eq!(said(&many(10, "15.00"), &published), no_findings());
    let old = crm::deal("1", "qualifiedtobuy", "1").at("modified_at", "2026-01-16T05:59:59Z");
    assert_eq!(
        said(&crm::deals(&[old]), &[]),
        [format!("warning stale {TODAY}: the newest deal was created or changed at 2026-01-16 05:59:59 UTC")]
    );
    assert_eq!(said(&crm::deals(&[]), &[]), no_findings(), "an account without deals is none that stands still");
}

#[test]
fn calls_that_jump_or_stop_are_a_warning() {
    let busy = |count: usize| {
        let id: Vec<_> = (0..count).map(|at| at.to_string()).collect();
        let legs =
            id.iter().map(|id| zoom::leg(&(id.as_str(), id.as_str(), "inbound", "2026-01-20T18:00:00Z", 9, "busy")));
        zoom::scene(zoom::zoom_org(|_| {}), &legs.collect::<Vec<_>>())
    };
    let published = busy(6).compute().unwrap().1;
    assert_eq!(said(&busy(9), &published), no_findings());
    assert_eq!(said(&busy(10), &published), [format!("warning jump {TODAY}: 10 calls where 6 are published")]);
    // Neither calls nor meetings on the day; the last there were is told, whether or not it is of this run.
    let quiet = |earlier: u32| {
        let scene = busy(6);
        let (compute, _) = scene.compute().unwrap();
        let published = changed(&scene, &format!("metric_date = metric_date - {earlier}"));
        let nothing = "total_calls = 0, inbound_calls = 0, missed_calls = 0, total_meetings = 0, total_participants = 0, \
                       total_meeting_minutes = 0";
        compute.connection().execute_batch(&format!("update mart set {nothing}")).unwrap();
        let findings = audit(&compute, &published).unwrap();
        let stale = findings.iter().filter(|finding| finding.rule == "stale");
        stale.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(quiet(4), no_findings());
    assert_eq!(
        quiet(5),
        [format!("warning stale: the newest call or meeting is of 2026-01-15, and the last day reported is {TODAY}")]
    );
    assert_eq!(said(&zoom::scene(zoom::zoom_org(|_| {}), &[]), &[]), no_findings());
}

#[test]
fn a_fleet_that_grew_or_of_which_nothing_is_new_is_a_warning() {
    let of = |units: usize, rented: usize| {
        let mut parts = fleet::Parts::new();
        parts.equipment = (0..units).map(|number| fleet::ready(&format!("S{number}"), "")).collect();
        parts.lines = (0..rented).map(|number| fleet::line("1600001", &format!("S{number}"), "")).collect();
        parts
    };
    let fleet = of(16, 8).on(TODAY);
    let told = |units, rented| {
        [format!("warning jump {TODAY}: 16 units and 8 rented where {units} and {rented} are published of {TODAY}")]
    };
    assert_eq!(said(&fleet, &changed(&fleet, "total_units = 10")), told(10, 8));
    assert_eq!(said(&fleet, &changed(&fleet, "rented_units = 5")), told(16, 5));
    assert_eq!(said(&fleet, &changed(&fleet, "total_units = 11, rented_units = 6")), no_findings());
    assert_eq!(said(&fleet, &changed(&fleet, "total_units = 4, rented_units = 4")), no_findings(), "a handful");

    let with = |order: Row, invoice: Row| {
        let mut parts = of(3, 1);
        parts.orders = vec![fleet::order("1600001"), order];
        parts.invoices = vec![invoice];
        said(&parts.on(TODAY), &[])
    };
    let (old_order, old_invoice) = (work_order("1", "2026-01-15"), invoice("1", "2026-01-15"));
    assert_eq!(
        with(old_order.clone(), old_invoice.clone()),
        [format!("warning stale {TODAY}: the newest work order or invoice is of 2026-01-15")]
    );
    assert_eq!(with(old_order.clone().day("closed_date", "2026-01-16"), old_invoice.clone()), no_findings());
    assert_eq!(with(old_order, invoice("1", "2026-01-16")), no_findings());
    // A day that is still to come says nothing of what is new.
    assert_eq!(with(work_order("1", "2026-01-21"), old_invoice).len(), 1);
}

#[test]
fn shares_of_units_are_between_0_and_100() {
    let mut parts = fleet::Parts::new();
    parts.equipment.push(fleet::ready("S2", ""));
    let scene = parts.on(TODAY);
    let broken = |update: &str| {
        let (compute, _) = scene.compute().unwrap();
        compute.connection().execute_batch(&format!("update mart set {update}")).unwrap();
        let findings = audit(&compute, &[]).unwrap();
        findings.iter().map(|finding| format!("{} {}", finding.severity, finding.rule)).collect::<Vec<_>>()
    };
    assert_eq!(broken("utilization_rate = 100.01"), ["error range", "error utilization"]);
    assert_eq!(broken("utilization_rate = -0.01"), ["error range", "error utilization"]);
    let rate = |rate: &str| {
        format!(
            "units_by_type = replace(units_by_type::varchar, '\"utilization_rate\": 50.00', '\"utilization_rate\": {rate}')"
        )
    };
    assert_eq!(broken(&rate("100.00")), no_findings());
    assert_eq!(broken(&rate("100.01")), ["error range"]);
    assert_eq!(broken(&rate("-0.01")), ["error range"]);
}

#[test]
fn a_margin_is_gross_profit_over_income_and_above_100_where_costs_are_negative() {
    let mut month = Month::good();
    month.profit_and_loss = vec![
        REPORT,
        account("/Income/", "3.00"),
        total("/Income/", "3.00"),
        account("/COGS/", "-1.00"),
        total("/COGS/", "-1.00"),
        computed("/NetIncome/", "4.00"),
    ];
    let scene = month.scene();
    assert_row(&scene.mart()[0], &[("gross_margin_pct", "133.33")]);
    assert_eq!(
        said(&scene, &[]),
        ["warning range 2026-01-01: gross_margin_pct 133.33 is above 100: the cost of goods sold is below zero"]
    );
    let broken = |update: &str| {
        let (compute, _) = scene.compute().unwrap();
        compute.connection().execute_batch(&format!("update mart set {update}")).unwrap();
        let errors = audit(&compute, &[]).unwrap().into_iter().filter(|finding| finding.rule == "margin");
        errors.map(|finding| finding.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        broken("gross_margin_pct = 133.34"),
        ["error margin 2026-01-01: gross_margin_pct 133.34 is not gross_profit 4.00 over income 3.00"]
    );
    assert_eq!(broken("gross_margin_pct = 133.33"), no_findings());
}

#[test]
fn an_open_month_that_lost_what_was_posted_is_a_warning() {
    let month = Month::good();
    let open = financial("2026-01-20", &[("2026-01-01", "2026-01-20", &month)]);
    let row = open.mart().remove(0);
    let was = |figures: &str| changed(&open, figures);
    assert_eq!(said(&open, &was("total_revenue = 2 * total_revenue")), no_findings());
    let told = format!(
        "warning volume 2026-01-01: total_revenue of the open month is {} where 9999.99 is published",
        row["total_revenue"]
    );
    assert_eq!(said(&open, &was("total_revenue = 9999.99")), [told]);
    assert_eq!(said(&open, &was("total_revenue = 1, total_expenses = 1")), no_findings(), "an open month grows");
    let closed = financial("2026-02-01", &[("2026-01-01", "2026-01-31", &month), ("2026-02-01", "2026-02-01", &month)]);
    let rules: Vec<_> =
        closed.findings(&changed(&closed, "total_revenue = 9999.99 where month = 1")).into_iter().collect();
    assert_eq!(rules.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>(), ["jump"]);
}
