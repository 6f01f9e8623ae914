//! The case database: one wide table of cases, of which five columns are read and no more.
//!
//! Three things keep people out of the landing zone. Only columns on the list of [`crate::datasets::cases`] are ever
//! asked for. What they hold is gone through by the tripwire ([`personal`]) before a single byte is written: a value
//! that looks like personal data fails the pull. And columns that the list does not know are reported, not read.

pub mod personal;
mod sheet;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{Months, NaiveDate};

use super::Context;
use super::sqlserver::{self, Catalog, Condition, Select, Server};
use crate::config::Cases;
use crate::datasets::cases::{CATEGORIES, CATEGORY, READ, UNREAD, UNREAD_BEGINNINGS};
use crate::datasets::{Column, Dataset, dataset};
use crate::periods::{self, Partition};
use crate::staging::{Landed, Landing, Value};
use sheet::Sheet;

/// Rows between two reports of progress.
const REPORT_EVERY: u64 = 1_000;

/// Pulls the wanted snapshots over one connection.
///
/// # Errors
/// Whatever keeps a pull from being whole, after the retries that may help; a column that is not on the list; a value
/// that looks like personal data. Then nothing of that pull was written.
pub async fn pull(
    context: &Context<'_>,
    settings: &Cases,
    wanted: &[(&'static Dataset, Vec<Partition>)],
) -> Result<Vec<Landed>> {
    ensure!(context.saved.is_none(), "the case database does not answer in pages, so there are no saved ones to read");
    let mut server = Server::new(&settings.server, &context.config.limits);
    let mut catalog = None;
    let mut landed = Vec::new();
    for (dataset, partitions) in wanted {
        for partition in partitions {
            let pulling = || format!("pulling {} {partition}", dataset.name);
            if catalog.is_none() {
                let read = server.catalog(&settings.schema, &settings.table).await.with_context(pulling)?;
                report_new(&read);
                catalog = Some(read);
            }
            let Some(catalog) = &catalog else { continue };
            let pulled = match dataset.name {
                "cases_summary" => cases(context, settings, &mut server, catalog, dataset, *partition).await,
                "cases_columns" => columns(context, settings, catalog, dataset, *partition),
                _ => bail!("{} does not come from the case database", dataset.name),
            };
            landed.push(pulled.with_context(pulling)?);
        }
    }
    Ok(landed)
}

/// Proves that the server can be reached, that it admits the login, and that the login may read the columns that pulls need.
/// Says so in one line.
///
/// # Errors
/// The first of these that does not hold. Nothing is tried twice: a person is waiting.
pub async fn check(settings: &Cases) -> Result<String> {
    let mut server = Server::once(&settings.server);
    let catalog = server.catalog(&settings.schema, &settings.table).await?;
    let dataset = dataset("cases_summary").context("the table of datasets has no cases_summary")?;
    let mut probe = select(settings, &catalog, dataset)?;
    // Nothing is NULL and is not, so this asks for the right and for no row.
    let column = probe.items.iter().find_map(|item| item.column.clone()).context("a dataset without columns")?;
    probe.conditions = vec![Condition::IsNull(column.clone()), Condition::IsNotNull(column)];
    server.query(&probe.statement(), || Ok(()), |(), _| Ok(())).await?;
    Ok(format!("{}: {}.{} can be read", server.name(), catalog.schema, catalog.table))
}

fn lists(list: &[&str], name: &str) -> bool {
    list.iter().any(|listed| listed.eq_ignore_ascii_case(name))
}

/// Whether a column may be read: it is always, or it is the one that counts as category and may be that.
fn is_read(name: &str, settings: &Cases) -> bool {
    lists(READ, name) || (name.eq_ignore_ascii_case(&settings.category_column) && lists(CATEGORIES, name))
}

/// Whether a column is on the list, if only as one that is never read.
fn is_known(name: &str) -> bool {
    let begins = |beginning: &&str| name.get(..beginning.len()).is_some_and(|own| own.eq_ignore_ascii_case(beginning));
    [READ, CATEGORIES, UNREAD].iter().any(|list| lists(list, name)) || UNREAD_BEGINNINGS.iter().any(begins)
}

/// Tells of columns that nobody has looked at yet. The audit does so too, from what `columns` lands.
fn report_new(catalog: &Catalog) {
    let new: Vec<_> = catalog.columns.iter().filter(|column| !is_known(&column.name)).collect();
    if !new.is_empty() {
        let names: Vec<_> = new.iter().map(|column| format!("[{}]", column.name)).collect();
        tracing::warn!(
            "{}.{} has columns that are not on the list and are not read: {}",
            catalog.schema,
            catalog.table,
            names.join(", ")
        );
    }
}

/// The columns that come from the table: all but the number of the row.
fn sourced(dataset: &'static Dataset) -> impl Iterator<Item = &'static Column> {
    dataset.columns.iter().filter(|column| !dataset.key.contains(&column.name))
}

/// What is asked of the table.
///
/// # Errors
/// A column that is not on the list, which is told before anything is asked; and one that the table lacks or that has
/// become something else.
fn select(settings: &Cases, catalog: &Catalog, dataset: &'static Dataset) -> Result<Select> {
    let mut items = Vec::new();
    for column in sourced(dataset) {
        let name = if column.from == CATEGORY { settings.category_column.as_str() } else { column.from };
        ensure!(
            is_read(name, settings),
            "{} would come from [{name}], which is not on the list of columns that may be read, so nothing was asked for",
            column.name
        );
        items.push(catalog.item(column, name)?);
    }
    // Cases that differ in none of these are the same to every figure, so this settles the order of rows. They go by
    // the answer's names, and so are sorted as cast: no server sorts by a column of type text.
    let order = items.iter().map(|item| item.alias.clone()).collect();
    let (schema, table) = (catalog.schema.clone(), catalog.table.clone());
    Ok(Select { schema, table, items, conditions: Vec::new(), order })
}

/// Pulls the cases. They are held in memory until the last one has passed the tripwire: only then is there a file.
async fn cases(
    context: &Context<'_>,
    settings: &Cases,
    server: &mut Server<'_>,
    catalog: &Catalog,
    dataset: &'static Dataset,
    partition: Partition,
) -> Result<Landed> {
    let select = select(settings, catalog, dataset)?;
    let names: Vec<String> = select.items.iter().filter_map(|item| item.column.clone()).collect();
    // Of the day on which the table is asked, which may be later than the one reported.
    let today = periods::local_day(context.pulled_at, context.org.timezone);
    let sane = NaiveDate::from_ymd_opt(1990, 1, 1).context("a date")?..=today + Months::new(24);
    let sheet = server
        .query(
            &select.statement(),
            || Ok(Sheet::new(&names, &settings.harmless_labels, context.as_of)),
            |sheet, row| {
                for (at, (_, cell)) in row.cells().enumerate() {
                    let value =
                        sqlserver::value(cell).with_context(|| format!("[{}] of {}", names[at], catalog.table))?;
                    match value {
                        // Decision: what lies before 1990 or more than two years ahead of today stands for no date.
                        Value::Date(day) if !sane.contains(&day) => sheet.push(at, Value::Null),
                        value => sheet.push(at, value),
                    }
                    .with_context(|| format!("{}.{}", catalog.schema, catalog.table))?;
                }
                let rows = sheet.rows();
                if rows.is_multiple_of(REPORT_EVERY) {
                    (context.progress)(dataset.name, None, rows);
                }
                Ok(())
            },
        )
        .await?;
    let mut landing = begin(context, dataset, partition)?;
    sheet.each(|number, values| {
        let mut row = vec![Value::Int(number)];
        row.extend_from_slice(values);
        landing.push(None, &row)
    })?;
    finish(context, dataset, partition, landing)
}

/// Lands the table's columns as the catalog gives them, names and types only.
fn columns(
    context: &Context<'_>,
    settings: &Cases,
    catalog: &Catalog,
    dataset: &'static Dataset,
    partition: Partition,
) -> Result<Landed> {
    let mut landing = begin(context, dataset, partition)?;
    for column in &catalog.columns {
        let name = column.name.as_str();
        let (is_read, is_known) = (is_read(name, settings), is_known(name));
        landing.push(None, &[name.into(), column.data_type.as_str().into(), is_read.into(), is_known.into()])?;
    }
    finish(context, dataset, partition, landing)
}

fn begin(context: &Context<'_>, dataset: &'static Dataset, partition: Partition) -> Result<Landing> {
    context.staging.begin(dataset, &context.org.slug, partition, context.pulled_at)
}

fn finish(context: &Context<'_>, dataset: &Dataset, partition: Partition, landing: Landing) -> Result<Landed> {
    let rows = landing.rows();
    let landed = landing.finish()?;
    (context.progress)(dataset.name, Some(partition), rows);
    Ok(landed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_column_is_both_read_and_never_read() {
        for name in READ.iter().chain(CATEGORIES) {
            assert!(!UNREAD.contains(name), "{name}");
            assert!(!UNREAD_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)), "{name}");
        }
        for listed in ["Case Manager", "case manager", "Pre: Well-Being", "POST: Burnout", "Solution"] {
            assert!(is_known(listed), "{listed}");
        }
        for new in ["Case Managers", "Prefix", "Pre", "Client Name"] {
            assert!(!is_known(new), "{new}");
        }
    }

    #[test]
    fn every_landed_column_is_on_the_list() {
        for column in sourced(dataset("cases_summary").unwrap()) {
            assert!(READ.contains(&column.from) || column.from == CATEGORY, "{}", column.name);
        }
    }
}
