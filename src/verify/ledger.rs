//! The dealer's general ledger, asked in T-SQL for the sums of each class of accounts; the statements are made of those
//! by another way than the mart's: operating cash flow is what is left of the change in cash, and no account's own.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use chrono::{Datelike as _, NaiveDate};
use rust_decimal::{Decimal, RoundingStrategy};

use super::questions::{Put, Question};
use super::softbase::Dealer;
use super::tsql::{Cell, Fill};
use super::{Answers, Asked, answers};
use crate::config::FloorPlan;
use crate::periods;

/// By class of accounts: what moved in the month, the closing balance of each account's last row by then and of those
/// whose last row lies in the fiscal year, and how much of the month's movement is depreciation. Month 13 is none.
pub(super) const SUMS: &str = "\
SELECT
    [m].[class] AS [class],
    CAST(SUM(CASE WHEN [m].[month] = {month} THEN [m].[moved] ELSE 0 END) AS decimal(19,4)) AS [month],
    CAST(SUM(CASE
        WHEN [m].[month] = [m].[newest] AND [m].[newest] >= {year_start} THEN [m].[closing] ELSE 0
    END) AS decimal(19,4)) AS [year],
    CAST(SUM(CASE WHEN [m].[month] = [m].[newest] THEN [m].[closing] ELSE 0 END) AS decimal(19,4)) AS [balance],
    CAST(SUM(CASE
        WHEN [m].[month] = {month} AND [m].[depreciation] = 1 THEN [m].[moved] ELSE 0
    END) AS decimal(19,4)) AS [depreciation]
FROM (
    SELECT
        COALESCE(
            CASE{classes} END,
            CASE [c].[Type] WHEN 'S' THEN 'revenue' WHEN 'C' THEN 'cogs' WHEN 'E' THEN 'expense'
                WHEN 'A' THEN 'unclassified_asset' WHEN 'L' THEN 'unclassified_liability' END,
            'unknown'
        ) AS [class],
        CASE WHEN 1 = 0 THEN 1{marks} ELSE 0 END AS [depreciation],
        [g].[Year] * 100 + [g].[Month] AS [month],
        [last].[month] AS [newest],
        COALESCE([g].[MTD], 0) AS [moved],
        COALESCE([g].[YTD], 0) AS [closing]
    FROM {schema}.[GL] AS [g]
    INNER JOIN (
        SELECT [AccountNo], MAX([Year] * 100 + [Month]) AS [month]
        FROM {schema}.[GL]
        WHERE [Month] BETWEEN 1 AND 12 AND [Year] * 100 + [Month] <= {month}
        GROUP BY [AccountNo]
    ) AS [last] ON [last].[AccountNo] = [g].[AccountNo]
    LEFT JOIN {schema}.[ChartOfAccounts] AS [c] ON [c].[AccountNo] = [g].[AccountNo]
    WHERE [g].[Month] BETWEEN 1 AND 12 AND [g].[Year] * 100 + [g].[Month] <= {month}
) AS [m]
GROUP BY [m].[class]";

const ASSETS: &[&str] = &[
    "cash",
    "ar",
    "inventory",
    "other_current_asset",
    "fixed_asset",
    "accumulated_depreciation",
    "other_asset",
    "unclassified_asset",
];
const LIABILITIES: &[&str] = &["ap", "other_current_liability", "floor_plan", "debt", "unclassified_liability"];
const EARNED: &[&str] = &["revenue", "other_income"];
const SPENT: &[&str] = &["cogs", "expense", "other_expense"];
const INVESTED: &[&str] = &["fixed_asset", "accumulated_depreciation", "other_asset"];
const UNCLASSIFIED: &[&str] = &["unclassified_asset", "unclassified_liability", "unknown"];

/// Sums of a class; debit is positive.
#[derive(Default, Clone, Copy)]
struct Sums {
    month: Decimal,
    /// The balances of accounts with a row in the fiscal year: of profit and loss the year to date.
    year: Decimal,
    balance: Decimal,
    depreciation: Decimal,
}

pub(super) async fn put(dealer: &mut Dealer<'_>, question: &Question, asked: Asked) -> Result<Answers> {
    let (org, settings) = (dealer.around.org, dealer.settings);
    let ledger = settings.ledger.as_ref().context("the organisation has no [org.softbase.ledger]")?;
    let number = |day: NaiveDate| i64::from(day.year()) * 100 + i64::from(day.month());
    let year_start = periods::fiscal_year_start(asked.last_day(), org.fiscal_year_start_month)?;
    // In the settings' order the first range that holds an account is the innermost.
    let classes =
        ledger.accounts.iter().map(|range| (range.first.as_str(), range.last.as_str(), range.class)).collect();
    let marks = ledger.depreciation.iter().map(|range| (range.first.as_str(), range.last.as_str(), "1")).collect();
    let account = "LTRIM(RTRIM([g].[AccountNo]))";
    let fills = [
        ("schema", Fill::Name(&settings.schema)),
        ("month", Fill::Number(number(asked.period.start))),
        ("year_start", Fill::Number(number(year_start))),
        ("classes", Fill::Ranges(account, classes)),
        ("marks", Fill::Ranges(account, marks)),
    ];
    let columns = ["class", "month", "year", "balance", "depreciation"];
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for row in dealer.asker.ask(question.text, &fills, &columns).await? {
        let [Cell::Text(class), month, year, balance, depreciation] = row.as_slice() else {
            anyhow::bail!("a class of accounts has no name");
        };
        let number = |cell: &Cell| anyhow::Ok(cell.number()?.unwrap_or_default());
        let of = Sums {
            month: number(month)?,
            year: number(year)?,
            balance: number(balance)?,
            depreciation: number(depreciation)?,
        };
        ensure!(sums.insert(class.to_lowercase(), of).is_none(), "class {class} comes twice");
    }
    let floor_plan_is_financing = ledger.floor_plan == FloorPlan::Financing;
    match question.put {
        Put::Financial => financial(&sums, floor_plan_is_financing, question.columns),
        _ => cash_flow(&sums, floor_plan_is_financing, question.columns),
    }
}

fn of(sums: &BTreeMap<String, Sums>, classes: &[&str], what: fn(&Sums) -> Decimal) -> Decimal {
    classes.iter().filter_map(|class| sums.get(*class)).map(what).sum()
}

/// What moved cash besides operations: investing and financing.
fn elsewhere(sums: &BTreeMap<String, Sums>, floor_plan_is_financing: bool) -> (Decimal, Decimal) {
    let depreciation = of(sums, &[EARNED, SPENT].concat(), |sums| sums.depreciation);
    let investing = -of(sums, INVESTED, |sums| sums.month) - depreciation;
    let lent: &[&str] = if floor_plan_is_financing { &["floor_plan", "debt", "equity"] } else { &["debt", "equity"] };
    (investing, -of(sums, lent, |sums| sums.month))
}

/// As a statement shows an amount: what is derived in it is derived from what it shows.
fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

fn operating(sums: &BTreeMap<String, Sums>, floor_plan_is_financing: bool) -> Decimal {
    let (investing, financing) = elsewhere(sums, floor_plan_is_financing);
    let other = -of(sums, UNCLASSIFIED, |sums| sums.month);
    cents(of(sums, &["cash"], |sums| sums.month)) - cents(investing) - cents(financing) - cents(other)
}

fn financial(
    sums: &BTreeMap<String, Sums>,
    floor_plan_is_financing: bool,
    columns: &[&'static str],
) -> Result<Answers> {
    let month = |classes: &[&str]| of(sums, classes, |sums| sums.month);
    let balance = |classes: &[&str]| of(sums, classes, |sums| sums.balance);
    let profit_of_the_year = -of(sums, &[EARNED, SPENT].concat(), |sums| sums.year);
    let (assets, liabilities) = (balance(ASSETS), -balance(LIABILITIES));
    let owned = profit_of_the_year - balance(&["equity"]);
    let values = [
        -month(EARNED),
        month(SPENT),
        cents(-month(EARNED)) - cents(month(SPENT)),
        -month(&["revenue"]) - month(&["cogs"]),
        assets,
        liabilities,
        if assets == liabilities + owned { cents(assets) - cents(liabilities) } else { owned },
        balance(&["cash"]),
        balance(&["ar"]),
        -balance(&["ap"]),
        operating(sums, floor_plan_is_financing),
    ];
    answers(columns, values.map(Some))
}

fn cash_flow(
    sums: &BTreeMap<String, Sums>,
    floor_plan_is_financing: bool,
    columns: &[&'static str],
) -> Result<Answers> {
    let month = |class: &str| of(sums, &[class], |sums| sums.month);
    let (investing, financing) = elsewhere(sums, floor_plan_is_financing);
    let values = [
        of(sums, &["cash"], |sums| sums.balance),
        month("cash"),
        operating(sums, floor_plan_is_financing),
        month("ar"),
        month("inventory"),
        -month("ap"),
        investing,
        financing,
    ];
    answers(columns, values.map(Some))
}
