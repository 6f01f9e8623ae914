//! The dealers' part of the configuration, and the second dealer.

use std::sync::Arc;

use chrono::NaiveDate;

use super::{DATABASE, LOGIN, SECOND_DEALER_SCHEMA};
use crate::sandbox::business::dealer::{Chart, Dealer, DealerOptions};

/// A smaller dealer with the other chart, on calendar years.
pub(super) fn second(seed: u64, from: NaiveDate, to: NaiveDate) -> Arc<Dealer> {
    // Another seed, so that its figures are not the first one's.
    let options = DealerOptions::new(seed ^ 0x1b5, from, to);
    let options =
        DealerOptions { fiscal_year_start_month: 1, invoices_per_day: 12, chart: Chart::SevenDigits, ..options };
    Arc::new(Dealer::generate(options))
}

/// What the accounts of the first dealer mean.
pub(super) const LEDGER: &str = r#"[org.softbase.ledger.accounts]
cash = ["110000-115000"]
ar = ["12"]
inventory = ["13"]
other_current_asset = ["125", "14", "15", "187"]
other_asset = ["16"]
fixed_asset = ["180-187"]
accumulated_depreciation = ["19"]
ap = ["210000"]
other_current_liability = ["21", "22", "23", "240000-241000", "249"]
floor_plan = ["245000", "250000"]
debt = ["242000-248000", "250000-253000"]
equity = ["31-34"]
revenue = ["4"]
cogs = ["5"]
expense = ["6"]
other_income = ["701000-706000"]
other_expense = ["706000", "999999"]
depreciation = ["537001", "600900-600902"]
"#;

/// The server that both dealers share.
pub(super) fn server_config(port: u16) -> String {
    format!(
        r#"[org.softbase.server]
host = "localhost"
port = {port}
database = "{DATABASE}"
user = "{LOGIN}"
password = "file:secrets/softbase-password"
tls = "required"
ca_file = "softbase-ca.pem"
"#
    )
}

/// The second dealer as an organisation.
pub(super) fn second_config(port: u16) -> String {
    format!(
        r#"
[[org]]
slug = "ips"
name = "A dealer with another chart"
timezone = "America/Chicago"
fiscal_year_start_month = 1

[org.softbase]
schema = "{SECOND_DEALER_SCHEMA}"

[org.softbase.ledger.accounts]
cash = ["1010-1011"]
ar = ["1014-1017", "103"]
inventory = ["111-112", "114-115"]
other_current_asset = ["1210", "1213", "1216-1219", "1600011"]
fixed_asset = ["122-126"]
other_asset = ["1260401-1260402"]
accumulated_depreciation = ["151", "154-156"]
ap = ["2050001", "2051001"]
other_current_liability = ["207-209", "2042200-2042204", "2049501", "2020000"]
debt = ["2030", "2041-2042"]
equity = ["391-392", "394"]
revenue = ["4"]
cogs = ["5"]
expense = ["6"]
depreciation = ["6820", "6840701", "6850501", "6880201", "6880501", "6880901"]

{server}"#,
        server = server_config(port),
    )
}
