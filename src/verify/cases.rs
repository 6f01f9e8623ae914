//! The case database, asked in T-SQL for counts. Nothing of a single case comes over the wire.

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{Days, Months, NaiveDate};

use super::published::folded;
use super::questions::{Put, Question};
use super::softbase::oldest;
use super::tsql::{Asker, Cell, Fill};
use super::{Answers, Around, Asked, setting};
use crate::config::Cases;
use crate::periods;

/// Cases by the end of the day, and those created and closed in the thirty days that end with it. A day before 1990 or
/// more than two years ahead of today is none, and a case without a day of creation counts among all.
pub(super) const COUNTS: &str = "\
SELECT
    COUNT_BIG(*) AS [total_cases],
    CAST(COALESCE(SUM(CASE
        WHEN [Case Create Date] >= {first} AND [Case Create Date] < {next_day} THEN 1 ELSE 0
    END), 0) AS bigint) AS [new_cases_30d],
    CAST(COALESCE(SUM(CASE
        WHEN [Date Closed] >= {first} AND [Date Closed] < {next_day} THEN 1 ELSE 0
    END), 0) AS bigint) AS [closed_cases_30d]
FROM {schema}.{table}
WHERE [Case Create Date] IS NULL OR [Case Create Date] < {next_day} OR [Case Create Date] >= {latest}";

/// The same cases by their status.
pub(super) const BY_STATUS: &str = "\
SELECT CAST([s].[status] AS nvarchar(400)) AS [status], COUNT_BIG(*) AS [cases]
FROM (
    SELECT COALESCE(NULLIF(LTRIM(RTRIM([Workflow Status])), ''), 'Unknown') AS [status]
    FROM {schema}.{table}
    WHERE [Case Create Date] IS NULL OR [Case Create Date] < {next_day} OR [Case Create Date] >= {latest}
) AS [s]
GROUP BY [s].[status]";

/// The table of cases.
pub(super) struct CaseTable<'a> {
    settings: &'a Cases,
    asker: Asker<'a>,
    /// The day on which it is asked, where the organisation is.
    today: NaiveDate,
}

impl<'a> CaseTable<'a> {
    pub(super) fn new(around: &'a Around<'a>) -> Result<Self> {
        let settings = setting(around.org.cases.as_ref(), "cases")?;
        let today = periods::local_day(around.clock.now(), around.org.timezone);
        Ok(CaseTable { settings, asker: Asker::new(&settings.server, &around.config.limits), today })
    }

    pub(super) async fn put(&mut self, question: &Question, asked: Asked) -> Result<Answers> {
        let day = asked.last_day();
        let fills = [
            ("schema", Fill::Name(&self.settings.schema)),
            ("table", Fill::Name(&self.settings.table)),
            ("first", Fill::Day((day - Days::new(29)).max(oldest()?))),
            ("next_day", Fill::Day(day + Days::new(1))),
            ("latest", Fill::Day(self.today + Months::new(24) + Days::new(1))),
        ];
        if question.put == Put::Cases {
            let row = self.asker.ask_one(question.text, &fills, question.columns).await?;
            let columns = question.columns.iter().zip(row);
            return columns.map(|(column, cell)| Ok(((*column).to_owned(), cell.number()?))).collect();
        }
        let mut found = Answers::new();
        for row in self.asker.ask(question.text, &fills, &["status", "cases"]).await? {
            let [status, cases] = row.as_slice() else { bail!("a status comes without a count") };
            let status = match status {
                Cell::Text(status) => folded(status),
                // T-SQL trims blanks and leaves tabs, so a status of tabs alone comes as one of its own.
                Cell::Nothing => "unknown".to_owned(),
                Cell::Number(_) => bail!("a status is a number"),
            };
            let name = format!("{} / {status}", question.columns[0]);
            // Labels that differ by blanks inside are one.
            let cases = cases.number()?.context("a status has no count")?;
            let so_far = found.entry(name).or_insert(None);
            *so_far = Some(so_far.unwrap_or_default() + cases);
        }
        ensure!(!found.is_empty(), "the table of cases is empty");
        Ok(found)
    }
}
