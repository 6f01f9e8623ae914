//! The dealer's database, asked in T-SQL: a day's invoices, work orders, the fleet as it stands, rental revenue.

use anyhow::{Context as _, Result, bail};
use chrono::{Datelike as _, Days, Months, NaiveDate};

use super::questions::{Put, Question};
use super::tsql::{Asker, Fill};
use super::{Answers, Around, Asked, setting};
use crate::config::Softbase;
use crate::periods;

/// A day's invoices. NULL is no amount, and an invoice without a grand total is what its lines and its tax come to.
pub(super) const INVOICES: &str = "\
SELECT
    CAST(COALESCE(SUM([i].[labor]), 0) AS decimal(19,4)) AS [service_revenue],
    CAST(COALESCE(SUM([i].[parts]), 0) AS decimal(19,4)) AS [parts_revenue],
    CAST(COALESCE(SUM([i].[rental]), 0) AS decimal(19,4)) AS [rental_revenue],
    CAST(COALESCE(SUM([i].[equipment]), 0) AS decimal(19,4)) AS [sales_revenue],
    CAST(COALESCE(SUM([i].[total]), 0) AS decimal(19,4)) AS [total_revenue],
    CAST(COALESCE(SUM(CASE WHEN [i].[labor] <> 0 THEN 1 ELSE 0 END), 0) AS bigint) AS [service_invoices],
    CAST(COALESCE(SUM(CASE WHEN [i].[parts] <> 0 THEN 1 ELSE 0 END), 0) AS bigint) AS [parts_invoices],
    CAST(COALESCE(SUM(CASE WHEN [i].[rental] <> 0 THEN 1 ELSE 0 END), 0) AS bigint) AS [rental_invoices],
    CAST(COALESCE(SUM(CASE WHEN [i].[equipment] <> 0 THEN 1 ELSE 0 END), 0) AS bigint) AS [sales_invoices],
    COUNT_BIG(*) AS [total_invoices]
FROM (
    SELECT
        COALESCE([LaborTaxable], 0) + COALESCE([LaborNonTax], 0) AS [labor],
        COALESCE([PartsTaxable], 0) + COALESCE([PartsNonTax], 0) AS [parts],
        COALESCE([RentalTaxable], 0) + COALESCE([RentalNonTax], 0) AS [rental],
        COALESCE([EquipmentTaxable], 0) + COALESCE([EquipmentNonTax], 0) AS [equipment],
        COALESCE(
            [GrandTotal],
            COALESCE([LaborTaxable], 0) + COALESCE([LaborNonTax], 0) + COALESCE([PartsTaxable], 0)
                + COALESCE([PartsNonTax], 0) + COALESCE([MiscTaxable], 0) + COALESCE([MiscNonTax], 0)
                + COALESCE([EquipmentTaxable], 0) + COALESCE([EquipmentNonTax], 0) + COALESCE([RentalTaxable], 0)
                + COALESCE([RentalNonTax], 0) + COALESCE([TotalTax], 0)
        ) - CASE WHEN {keeps_tax} = 1 THEN 0 ELSE COALESCE([TotalTax], 0) END AS [total]
    FROM {schema}.[InvoiceReg]
    WHERE [InvoiceDate] >= {day} AND [InvoiceDate] < {next_day} AND {standing}
        AND CASE WHEN LTRIM([BillTo]) IN ({customers}) OR LTRIM([ShipTo]) IN ({customers}) THEN 1 ELSE 0 END = 0
        AND CASE WHEN [SaleBranch] IN ({branches}) THEN 1 ELSE 0 END = 0
) AS [i]";

/// Work orders open at the end of a day, and those closed on it. A date before 1990 or more than two years ahead of today is
/// none.
pub(super) const WORK_ORDERS: &str = "\
SELECT
    CAST(COALESCE(SUM(CASE
        WHEN [OpenDate] >= {oldest} AND [OpenDate] < {next_day}
            AND ([ClosedDate] IS NULL OR [ClosedDate] < {oldest} OR [ClosedDate] >= {next_day})
            THEN 1 ELSE 0
    END), 0) AS bigint) AS [open_work_orders],
    CAST(COALESCE(SUM(CASE
        WHEN [ClosedDate] >= {day} AND [ClosedDate] < {next_day} THEN 1 ELSE 0
    END), 0) AS bigint) AS [closed_work_orders]
FROM {schema}.[WO]
WHERE {standing} AND LTRIM([WONo]) NOT LIKE '9%'
    AND CASE WHEN LTRIM([WONo]) IN ({orders}) THEN 1 ELSE 0 END = 0";

/// The fleet by state. A unit is its serial, else its number; it is in one state, and rented comes first.
pub(super) const FLEET: &str = "\
SELECT
    COUNT_BIG(*) AS [total_units],
    CAST(COALESCE(SUM(CASE
        WHEN [u].[rented] = 0 AND [u].[held] = 0 AND [u].[ready] = 1 THEN 1 ELSE 0
    END), 0) AS bigint) AS [available_units],
    CAST(COALESCE(SUM([u].[rented]), 0) AS bigint) AS [rented_units],
    CAST(COALESCE(SUM(CASE WHEN [u].[rented] = 0 AND [u].[held] = 1 THEN 1 ELSE 0 END), 0) AS bigint)
        AS [maintenance_units]
FROM (
    SELECT [m].[unit], MAX([m].[rented]) AS [rented], MAX([m].[held]) AS [held], MAX([m].[ready]) AS [ready]
    FROM (
        SELECT
            COALESCE([e].[serial], [e].[number]) AS [unit],
            CASE WHEN [e].[status] = 'Hold' THEN 1 ELSE 0 END AS [held],
            CASE WHEN [e].[status] = 'Ready To Rent' THEN 1 ELSE 0 END AS [ready],
            CASE
                WHEN [e].[serial] IN (
                    SELECT LTRIM(RTRIM([l].[SerialNo]))
                    FROM {schema}.[WORental] AS [l]
                    INNER JOIN {schema}.[WO] AS [w] ON LTRIM([w].[WONo]) = LTRIM([l].[WONo])
                    WHERE {renting} AND NULLIF(LTRIM(RTRIM([l].[SerialNo])), '') IS NOT NULL
                        AND LTRIM(RTRIM([l].[SerialNo])) NOT IN ({pseudo})
                ) THEN 1
                WHEN [e].[number] IN (
                    SELECT LTRIM(RTRIM([l].[UnitNo]))
                    FROM {schema}.[WORental] AS [l]
                    INNER JOIN {schema}.[WO] AS [w] ON LTRIM([w].[WONo]) = LTRIM([l].[WONo])
                    WHERE {renting} AND NULLIF(LTRIM(RTRIM([l].[SerialNo])), '') IS NULL
                        AND NULLIF(LTRIM(RTRIM([l].[UnitNo])), '') IS NOT NULL
                        AND LTRIM(RTRIM([l].[UnitNo])) NOT IN ({pseudo})
                ) THEN 1
                ELSE 0
            END AS [rented]
        FROM (
            SELECT
                NULLIF(LTRIM(RTRIM([SerialNo])), '') AS [serial],
                NULLIF(LTRIM(RTRIM([UnitNo])), '') AS [number],
                LTRIM(RTRIM([RentalStatus])) AS [status]
            FROM {schema}.[Equipment]
            WHERE {standing} AND [InventoryDept] IN ({departments})
                AND CASE WHEN [Customer] = 1 THEN 1 ELSE 0 END = 0
                AND CASE
                    WHEN LTRIM(RTRIM([SerialNo])) IN ({excluded}) OR LTRIM(RTRIM([UnitNo])) IN ({excluded}) THEN 1
                    ELSE 0
                END = 0
        ) AS [e]
    ) AS [m]
    WHERE [m].[unit] IS NOT NULL AND [m].[unit] NOT IN ({pseudo})
    GROUP BY [m].[unit]
) AS [u]";

/// Rental lines of the invoices from a day on, added up at once and not day by day.
pub(super) const RENTAL_REVENUE: &str = "\
SELECT
    CAST(COALESCE(SUM(CASE
        WHEN [InvoiceDate] >= {month} THEN COALESCE([RentalTaxable], 0) + COALESCE([RentalNonTax], 0) ELSE 0
    END), 0) AS decimal(19,4)) AS [rental_revenue_mtd],
    CAST(COALESCE(SUM(COALESCE([RentalTaxable], 0) + COALESCE([RentalNonTax], 0)), 0) AS decimal(19,4))
        AS [rental_revenue_ytd]
FROM {schema}.[InvoiceReg]
WHERE [InvoiceDate] >= {year} AND [InvoiceDate] >= {data_start} AND [InvoiceDate] < {next_day} AND {standing}
    AND CASE WHEN LTRIM([BillTo]) IN ({customers}) OR LTRIM([ShipTo]) IN ({customers}) THEN 1 ELSE 0 END = 0
    AND CASE WHEN [SaleBranch] IN ({branches}) THEN 1 ELSE 0 END = 0
    AND CASE WHEN YEAR([InvoiceDate]) * 100 + MONTH([InvoiceDate]) IN ({excluded_months}) THEN 1 ELSE 0 END = 0";

/// A line on rent: neither it nor its order is deleted, and the order rents at the end of the day.
const RENTING: &str = "LTRIM(RTRIM([w].[Type])) = 'R' AND LTRIM([w].[WONo]) NOT LIKE '9%'
    AND CASE WHEN LTRIM([w].[WONo]) IN ({orders}) THEN 1 ELSE 0 END = 0
    AND ([w].[OpenDate] IS NULL OR [w].[OpenDate] < {next_day} OR [w].[OpenDate] >= {latest})
    AND ([w].[ClosedDate] IS NULL OR [w].[ClosedDate] < {oldest} OR [w].[ClosedDate] >= {next_day})
    AND {standing_line} AND {standing_order}";

/// A dealer.
pub(super) struct Dealer<'a> {
    pub around: &'a Around<'a>,
    pub settings: &'a Softbase,
    pub asker: Asker<'a>,
}

impl<'a> Dealer<'a> {
    pub(super) fn new(around: &'a Around<'a>) -> Result<Self> {
        let settings = setting(around.org.softbase.as_ref(), "softbase")?;
        Ok(Dealer { around, settings, asker: Asker::new(&settings.server, &around.config.limits) })
    }

    pub(super) async fn put(&mut self, question: &Question, asked: Asked) -> Result<Answers> {
        let (settings, org) = (self.settings, self.around.org);
        let day = asked.last_day();
        // Which rows of which view stand, under the name that the text has for it.
        let views: &[(&str, &str, &str)] = match question.put {
            Put::Invoices | Put::RentalRevenue => &[("{standing}", "InvoiceReg", "")],
            Put::WorkOrders => &[("{standing}", "WO", "")],
            Put::Fleet => &[
                ("{standing}", "Equipment", ""),
                ("{standing_line}", "WORental", "[l]."),
                ("{standing_order}", "WO", "[w]."),
            ],
            _ => bail!("the question is none for a dealer's database"),
        };
        let mut text = question.text.replace("{renting}", RENTING);
        for (place, view, name) in views {
            text = text.replace(place, &self.standing(view, name).await?);
        }
        let excluded_months: Vec<i64> =
            org.excluded_months.iter().map(|month| i64::from(month.year()) * 100 + i64::from(month.month())).collect();
        let (oldest, year) = (oldest()?, periods::fiscal_year_start(day, org.fiscal_year_start_month)?);
        let today = periods::local_day(self.around.clock.now(), org.timezone);
        let rental = &settings.rental;
        let fills = [
            ("schema", Fill::Name(&settings.schema)),
            ("day", Fill::Day(day)),
            ("next_day", Fill::Day(day + Days::new(1))),
            ("oldest", Fill::Day(oldest)),
            ("latest", Fill::Day(today + Months::new(24) + Days::new(1))),
            ("month", Fill::Day(periods::first_of_month(day))),
            ("year", Fill::Day(year)),
            ("data_start", Fill::Day(org.data_start_date.unwrap_or(oldest))),
            ("excluded_months", Fill::Numbers(&excluded_months)),
            ("keeps_tax", Fill::Number(settings.total_includes_tax.into())),
            ("customers", Fill::Texts(&settings.excluded_customers)),
            ("branches", Fill::Numbers(&settings.excluded_branches)),
            ("orders", Fill::Texts(&settings.excluded_work_orders)),
            ("departments", Fill::Numbers(&rental.departments)),
            ("pseudo", Fill::Texts(&or_none(&rental.pseudo_numbers))),
            ("excluded", Fill::Texts(&rental.excluded_units)),
        ];
        let row = self.asker.ask_one(&text, &fills, question.columns).await?;
        question.columns.iter().zip(row).map(|(column, cell)| Ok(((*column).to_owned(), cell.number()?))).collect()
    }

    /// The condition that a row of a view is not deleted, which one without the column that marks it never is. A day that
    /// stands for none marks nothing.
    async fn standing(&mut self, view: &str, name: &str) -> Result<String> {
        let has_mark = self.asker.has_column(&self.settings.schema, view, "DeletionTime").await?;
        let mark = format!("{name}[DeletionTime]");
        Ok(match has_mark {
            true => format!("({mark} IS NULL OR {mark} < {{oldest}} OR {mark} >= {{latest}})"),
            false => "1 = 1".to_owned(),
        })
    }
}

/// `NOT IN` of nothing would hold for nothing: a list without entries gets one that no number is.
fn or_none(numbers: &[String]) -> Vec<String> {
    if numbers.is_empty() { vec!["(none)".to_owned()] } else { numbers.to_vec() }
}

/// What lies before it stands for no date.
pub(super) fn oldest() -> Result<NaiveDate> {
    NaiveDate::from_ymd_opt(1990, 1, 1).context("a date")
}
