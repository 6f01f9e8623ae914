//! What must be true of a published row, said in Rust.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::Value;

/// A row of a mart as JSON, by column.
pub type Row = BTreeMap<String, Value>;

/// Says what does not hold of a row of that mart.
pub fn hold(mart: &str, row: &Row) -> Result<(), String> {
    let number = |name: &str| number(&row[name]);
    let sum = |names: &[&str]| names.iter().map(|name| number(name)).sum::<Decimal>();
    let equal = |what: &str, left: Decimal, right: Decimal| {
        if left == right { Ok(()) } else { Err(format!("{what}: {left} is not {right}")) }
    };
    let ordered = |what: &str, names: &[&str]| {
        let is_ordered = names.windows(2).all(|pair| number(pair[0]) <= number(pair[1]));
        if is_ordered { Ok(()) } else { Err(format!("{what} are out of order")) }
    };
    match mart {
        "mart_sales_daily" => {
            for part in ["service_invoices", "parts_invoices", "rental_invoices", "sales_invoices"] {
                ordered("invoices", &[part, "total_invoices"])?;
            }
            Ok(())
        }
        "mart_rental_fleet" => {
            let known = sum(&["rented_units", "available_units", "maintenance_units"]);
            if known > number("total_units") {
                return Err("more units in states than units".into());
            }
            let types = &row["units_by_type"];
            let columns = [("total", "total_units"), ("rented", "rented_units"), ("available", "available_units")];
            for (field, column) in columns.into_iter().chain([("maintenance", "maintenance_units")]) {
                equal(field, entries(types, Some(field)), number(column))?;
            }
            let states = ["rented", "available", "maintenance", "other"].map(|field| entries(types, Some(field)));
            equal("states", states.into_iter().sum(), number("total_units"))?;
            equal("revenue by type", entries(&row["revenue_by_type"], None), number("rental_revenue_mtd"))
        }
        "mart_financial_metrics" => {
            equal("net income", number("total_revenue") - number("total_expenses"), number("net_income"))?;
            equal("assets", number("total_assets"), sum(&["total_liabilities", "total_equity"]))
        }
        "mart_cash_flow" => {
            let breakdown = json(&row["non_operating_breakdown"]);
            if breakdown.as_object().expect("an object").is_empty() {
                // Nothing was posted: there is nothing to break down, and nothing to add up.
                let flows = ["operating_cash_flow", "investing_cash_flow", "financing_cash_flow", "cash_change_mtd"];
                let is_zero = flows.iter().all(|name| number(name).is_zero());
                return if is_zero { Ok(()) } else { Err("flows without a breakdown".into()) };
            }
            let other = self::number(&breakdown["summary"]["other"]);
            let flows = sum(&["operating_cash_flow", "investing_cash_flow", "financing_cash_flow"]) + other;
            equal("change in cash", flows, number("cash_change_mtd"))?;
            for (activity, total) in breakdown["summary"].as_object().expect("an object") {
                let parts = breakdown["entries"].as_array().expect("an array").iter();
                let parts = parts.filter(|entry| entry["activity"] == activity.as_str());
                equal(activity, parts.map(|entry| self::number(&entry["amount"])).sum(), self::number(total))?;
            }
            Ok(())
        }
        "mart_crm_contacts" => {
            let stages = [
                "subscribers",
                "leads",
                "marketing_qualified",
                "sales_qualified",
                "opportunities",
                "customers",
                "evangelists",
                "other_lifecycle",
            ];
            equal("stages", sum(&stages), number("total_contacts"))?;
            ordered("new contacts", &["new_contacts_7d", "new_contacts_30d", "total_contacts"])
        }
        "mart_crm_deals" => {
            equal("outcomes", sum(&["open_deals", "won_deals", "lost_deals"]), number("total_deals"))?;
            equal("stages", entries(&row["deals_by_stage"], Some("count")), number("total_deals"))?;
            let values = sum(&["total_pipeline_value", "won_value", "lost_value"]);
            let by_stage = entries(&row["deals_by_stage"], Some("value"));
            // Each stage is rounded for itself.
            let stages = Decimal::from(json(&row["deals_by_stage"]).as_object().expect("an object").len());
            if (values - by_stage).abs() > (stages + Decimal::from(3)) * Decimal::new(5, 3) {
                return Err(format!("values by stage: {by_stage} is not {values}"));
            }
            Ok(())
        }
        "mart_zoom_metrics" => {
            if row["total_calls"].is_null() {
                return Ok(());
            }
            equal("directions", sum(&["inbound_calls", "outbound_calls"]), number("total_calls"))?;
            ordered("missed calls", &["missed_calls", "inbound_calls"])
        }
        "mart_case_metrics" => {
            equal("status", entries(&row["cases_by_status"], None), number("total_cases"))?;
            equal("types", entries(&row["cases_by_type"], None), number("new_cases_30d"))?;
            equal("categories", entries(&row["cases_by_category"], None), number("new_cases_30d"))
        }
        "mart_app_analytics" => {
            ordered("users", &["daily_active_users", "weekly_active_users", "monthly_active_users"])?;
            equal("new and returning", sum(&["new_users", "returning_users"]), number("daily_active_users"))
        }
        _ => Err("nobody has said what adds up in this mart".into()),
    }
}

/// Says what does not hold between rows of several months or marts, of all organisations.
pub fn hold_together(marts: &BTreeMap<&str, Vec<Row>>) -> Result<(), String> {
    let id = |row: &Row| row["org_id"].as_i64();
    let orgs: BTreeSet<Option<i64>> = marts["mart_cash_flow"].iter().map(id).collect();
    if orgs.is_empty() {
        return Err("nobody has a cash flow".into());
    }
    for org in orgs {
        let of = |mart: &str| marts[mart].iter().filter(|row| id(row) == org).collect::<Vec<_>>();
        let cash_flow = of("mart_cash_flow");
        // The month in which a ledger begins takes balances over that it never moved.
        let has_begun = |row: &Row| json(&row["non_operating_breakdown"]).as_object().is_some_and(|it| !it.is_empty());
        for pair in cash_flow.windows(2).filter(|pair| has_begun(pair[0])) {
            let moved = number(&pair[1]["cash_balance"]) - number(&pair[0]["cash_balance"]);
            let change = number(&pair[1]["cash_change_mtd"]);
            if moved != change {
                return Err(format!("cash went by {moved} and the change is {change}: {pair:?}"));
            }
        }
        // Both statements are made of the same ledger.
        let financial = of("mart_financial_metrics");
        let month = |row: &Row| (number(&row["year"]), number(&row["month"]));
        for row in &cash_flow {
            let of_month = financial.iter().find(|other| month(other) == month(row));
            let of_month = of_month.ok_or_else(|| format!("no financial metrics of the month of {row:?}"))?;
            if number(&of_month["operating_cash_flow"]) != number(&row["operating_cash_flow"]) {
                return Err(format!("the operating cash flows differ: {row:?} and {of_month:?}"));
            }
        }
        // The fleet's month to date is what the daily sales call rental.
        let sales = of("mart_sales_daily");
        for row in of("mart_rental_fleet") {
            let until = &text(&row["snapshot_date"]);
            let days = sales.iter().filter(|day| month(day) == month(row) && text(&day["sales_date"]) <= *until);
            let revenue: Vec<_> = days.map(|day| number(&day["rental_revenue"])).collect();
            let day_of_month: usize = until[8..].parse().expect("a day");
            if revenue.len() != day_of_month {
                return Err(format!("{} daily rows for {row:?}", revenue.len()));
            }
            let sum: Decimal = revenue.into_iter().sum();
            if sum != number(&row["rental_revenue_mtd"]) {
                return Err(format!("the days' rental revenue is {sum}: {row:?}"));
            }
        }
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A number as Postgres writes it, exactly.
fn number(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|error| panic!("{text} is no number: {error}"))
}

/// JSON comes as JSON or as its text.
fn json(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).expect("JSON"),
        value => value.clone(),
    }
}

/// The sum of an object's entries, or of one field of each.
fn entries(value: &Value, field: Option<&str>) -> Decimal {
    let value = json(value);
    let entries = value.as_object().expect("an object").values();
    entries.map(|entry| number(field.map_or(entry, |field| &entry[field]))).sum()
}
