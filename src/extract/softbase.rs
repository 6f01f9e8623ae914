//! Softbase Evolution: a dealer's ERP, read through the views of its SQL Server database.
//!
//! The views belong to the vendor: they have no keys, and columns come and go. So each pull reads the catalog first,
//! casts every column on the server to the type that is landed, and fails where a column is gone or has become
//! something else.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use anyhow::{Context as _, Result, ensure};
use chrono::{Days, Months, NaiveDate};

use super::Context;
use super::sqlserver::{self, Catalog, Condition, Parameter, Select, Server};
use crate::config::Softbase;
use crate::datasets::{Column, Connector, DATASETS, Dataset, Grain, Kind};
use crate::periods::{self, Partition};
use crate::staging::{Landed, Landing, Value};

/// Columns that land as NULL where a view lacks them. `DeletionTime` marks voided rows, and not every view has it. Of
/// all others a mart would silently say something else: without `ShipTo`, say, excluded customers would count.
const OPTIONAL: &[&str] = &["DeletionTime"];

/// Rows between two reports of progress.
const REPORT_EVERY: u64 = 1_000;

/// Pulls the wanted partitions, one statement each over one connection.
///
/// # Errors
/// Whatever keeps a pull from being whole, after the retries that may help. Then that pull leaves nothing behind;
/// partitions pulled before it are landed already, and stay.
pub async fn pull(
    context: &Context<'_>,
    settings: &Softbase,
    wanted: &[(&'static Dataset, Vec<Partition>)],
) -> Result<Vec<Landed>> {
    ensure!(context.saved.is_none(), "Softbase does not answer in pages, so there are no saved ones to read");
    let mut server = Server::new(&settings.server, &context.config.limits);
    let mut landed = Vec::new();
    for (dataset, partitions) in wanted {
        if partitions.is_empty() {
            continue;
        }
        let plan = Plan::read(&mut server, &settings.schema, dataset)
            .await
            .with_context(|| format!("pulling {}", dataset.name))?;
        for partition in partitions {
            let pulled = pull_partition(context, &mut server, &plan, *partition)
                .await
                .with_context(|| format!("pulling {} {partition}", dataset.name))?;
            landed.push(pulled);
        }
    }
    Ok(landed)
}

/// Proves that the server can be reached, that it admits the login, and that the login may read what the pulls of a connector
/// need. Says so in one line.
///
/// # Errors
/// The first of these that does not hold. Nothing is tried twice: a person is waiting.
pub async fn check(settings: &Softbase, connector: Connector) -> Result<String> {
    let mut server = Server::once(&settings.server);
    let mut views = Vec::new();
    for dataset in DATASETS.iter().filter(|dataset| dataset.connector == connector) {
        let plan = Plan::read(&mut server, &settings.schema, dataset).await?;
        // The catalog shows more than may be read. Nothing is NULL and is not, so this asks for the right and for no row.
        let column = plan.select.order.first().context("a dataset without columns")?;
        let probe = plan.select(vec![Condition::IsNull(column.clone()), Condition::IsNotNull(column.clone())]);
        server.query(&probe.statement(), || Ok(()), |(), _| Ok(())).await?;
        views.push(format!("{}.{}", plan.select.schema, plan.select.table));
    }
    Ok(format!("{}: {} can be read", server.name(), views.join(", ")))
}

/// How a dataset is asked for, once the catalog is known.
struct Plan {
    dataset: &'static Dataset,
    /// Without conditions.
    select: Select,
    /// The view's own names of the key's columns, none where it has no key, and of the column that tells the month.
    keys: Vec<String>,
    month: Option<String>,
}

impl Plan {
    async fn read(server: &mut Server<'_>, schema: &str, dataset: &'static Dataset) -> Result<Plan> {
        ensure!(is_softbase(dataset), "{} does not come from Softbase", dataset.name);
        let (table, _) = source(&dataset.columns[0])?;
        let catalog = server.catalog(schema, table).await?;
        let mut items = Vec::with_capacity(dataset.columns.len());
        for column in dataset.columns {
            let (its_table, name) = source(column)?;
            ensure!(its_table == table, "{} mixes {table} and {its_table}", dataset.name);
            items.push(if OPTIONAL.contains(&name) && catalog.find(name).is_none() {
                tracing::debug!("{schema}.{table} has no {name}: {} lands as NULL", column.name);
                Catalog::absent(column)?
            } else {
                catalog.item(column, name)?
            });
        }
        let own_name = |position: usize| items[position].column.clone().context("a key column cannot be absent");
        let key = |name: &&str| {
            let at = dataset.columns.iter().position(|column| column.name == *name).context("no such key column")?;
            own_name(at)
        };
        let keys = dataset.key.iter().map(key).collect::<Result<Vec<_>>>()?;
        // Where nothing is a key, all columns together give an order that repeats.
        let order = match keys.as_slice() {
            [] => items.iter().filter_map(|item| item.column.clone()).collect(),
            keys => keys.to_vec(),
        };
        let month = match dataset.grain {
            Grain::Month => {
                let at = dataset.columns.iter().position(is_month_column).context("no column tells the month")?;
                Some(own_name(at)?)
            }
            Grain::Snapshot | Grain::Day => None,
        };
        let select = Select { schema: catalog.schema, table: catalog.table, items, conditions: Vec::new(), order };
        Ok(Plan { dataset, select, keys, month })
    }

    fn select(&self, conditions: Vec<Condition>) -> Select {
        Select { conditions, ..self.select.clone() }
    }
}

fn is_softbase(dataset: &Dataset) -> bool {
    matches!(dataset.connector, Connector::Softbase | Connector::SoftbaseLedger)
}

/// Table and column in "InvoiceReg.InvoiceDate".
fn source(column: &Column) -> Result<(&'static str, &'static str)> {
    column.from.split_once('.').with_context(|| format!("{} does not name a table's column", column.name))
}

/// The one day that every row has.
fn is_month_column(column: &Column) -> bool {
    column.kind == Kind::Date && !column.nullable
}

async fn pull_partition(
    context: &Context<'_>,
    server: &mut Server<'_>,
    plan: &Plan,
    partition: Partition,
) -> Result<Landed> {
    let dataset = plan.dataset;
    let conditions = match &plan.month {
        // Half open, and by days: a month's last invoice may be of 23:59:59.997.
        Some(column) => vec![
            Condition::AtLeast(column.clone(), Parameter::Date(partition.start())),
            Condition::Before(column.clone(), Parameter::Date(partition.end() + Days::new(1))),
        ],
        None => Vec::new(),
    };
    // Of the day on which the source is asked: a row of a day gone by may have been voided long after it.
    let today = periods::local_day(context.pulled_at, context.org.timezone);
    let sane = NaiveDate::from_ymd_opt(1990, 1, 1).context("a date")?..=today + Months::new(24);
    let pull = server
        .query(
            &plan.select(conditions).statement(),
            || {
                let landing = context.staging.begin(dataset, &context.org.slug, partition, context.pulled_at)?;
                Ok(Pull { landing, keys: Keys::default() })
            },
            |pull, row| {
                let mut values = Vec::with_capacity(dataset.columns.len());
                for (column, (_, cell)) in dataset.columns.iter().zip(row.cells()) {
                    let value =
                        sqlserver::value(cell).with_context(|| format!("{} of {}", column.name, plan.select.table))?;
                    values.push(match value {
                        // What tells the month was asked for by its value: it is checked, never blanked.
                        Value::Date(day) if is_month_column(column) => {
                            ensure!(
                                (partition.start()..=partition.end()).contains(&day),
                                "{} gave a row of {day}, which was not asked for",
                                plan.select.table
                            );
                            value
                        }
                        // Decision: what lies before 1990 or more than two years ahead of today stands for no date.
                        Value::Date(day) if !sane.contains(&day) => Value::Null,
                        _ => value,
                    });
                }
                ensure!(
                    dataset.key.is_empty() || pull.keys.is_new(&key_of(dataset, &values)),
                    "{}.{} gives the same {} in more than one row",
                    plan.select.schema,
                    plan.select.table,
                    plan.keys.join(", ")
                );
                pull.landing.push(None, &values)?;
                let rows = pull.landing.rows();
                if rows.is_multiple_of(REPORT_EVERY) {
                    (context.progress)(dataset.name, None, rows);
                }
                Ok(())
            },
        )
        .await?;
    let rows = pull.landing.rows();
    let landed = pull.landing.finish()?;
    (context.progress)(dataset.name, Some(partition), rows);
    Ok(landed)
}

/// The key of a row as one text.
fn key_of(dataset: &Dataset, values: &[Value<'_>]) -> String {
    let parts = dataset.columns.iter().zip(values).filter(|(column, _)| dataset.key.contains(&column.name));
    let texts = parts.map(|(_, value)| match value {
        Value::Text(text) => (*text).to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Date(day) => day.to_string(),
        // Landing refuses a key that is null, and nothing else is one.
        _ => String::new(),
    });
    texts.collect::<Vec<_>>().join("\u{1f}")
}

/// What one try has got so far; dropped, it leaves nothing.
struct Pull {
    landing: Landing,
    keys: Keys,
}

/// The keys that a pull has seen: a view that joins one row too many gives rows twice, and sums would double.
///
/// The rows come ordered by key, but by the server's collation, which is unknown and may put other keys between equal
/// ones (accents, padding in front). So a hash of each key is kept: eight bytes a row, some 15 MB for a million. Should
/// two keys ever share one, a pull fails that need not have; nothing wrong is landed.
struct Keys {
    /// In many sets, because a set grows by being copied into one of twice its size.
    seen: Vec<HashSet<u64>>,
    hasher: RandomState,
}

impl Default for Keys {
    fn default() -> Self {
        Keys { seen: vec![HashSet::new(); 256], hasher: RandomState::default() }
    }
}

impl Keys {
    /// Whether the key is not among those seen, upper and lower case taken as one, as the marts take them.
    fn is_new(&mut self, key: &str) -> bool {
        let hash = self.hasher.hash_one(key.to_lowercase());
        let set = hash % self.seen.len() as u64;
        self.seen[set as usize].insert(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_softbase_column_names_its_source_and_months_have_their_column() {
        for dataset in DATASETS.iter().filter(|dataset| is_softbase(dataset)) {
            for column in dataset.columns {
                source(column).unwrap();
            }
            let months = dataset.columns.iter().filter(|column| is_month_column(column)).count();
            assert_eq!(months, usize::from(dataset.grain == Grain::Month), "{}", dataset.name);
        }
    }

    #[test]
    fn a_key_is_the_same_in_either_case() {
        let mut keys = Keys::default();
        assert!(keys.is_new("16000286"));
        assert!(keys.is_new("A1"));
        assert!(!keys.is_new("a1"));
    }
}
