//! A night's staged records many times over, so that every mart can be computed from many rows: the sandbox's businesses are
//! small.

use std::fs::File;

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use marts::compute::Pulls;
use marts::datasets::{Dataset, dataset};
use marts::staging::{Landed, Page, Staging, Value};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use crate::ground::{Scene, Task};

/// Datasets that grow with the business. The others are lists and totals, of which there are never many.
const RECORDS: [&str; 13] = [
    "cases_summary",
    "ga4_events",
    "hubspot_contacts",
    "hubspot_deals",
    "quickbooks_balance_sheet",
    "quickbooks_cash_flow",
    "quickbooks_profit_and_loss",
    "softbase_chart_of_accounts",
    "softbase_equipment",
    "softbase_gl",
    "softbase_rental_lines",
    "softbase_work_orders",
    "zoom_call_legs",
];

/// The pulls of a task with about so many rows, and where they lie.
pub struct Grown {
    pub pulls: Pulls,
    _folder: TempDir,
}

/// Each record as often as it takes, every time under another number; none where the night has about so many itself.
pub fn grown(scene: &Scene, task: &Task, rows: u64) -> Option<Grown> {
    let folder = scene.folder();
    let staging = Staging::new(folder.path());
    let org = &scene.inputs(task).org.slug;
    let is_record = |landed: &Landed| RECORDS.contains(&landed.manifest().dataset.as_str());
    let records: u64 = task.pulls.all().filter(|landed| is_record(landed)).map(|landed| landed.manifest().rows).sum();
    let copies = rows / records.max(1);
    let land = |landed: &Landed| land(landed, org, &staging, if is_record(landed) { copies } else { 1 });
    (copies > 1).then(|| Grown { pulls: task.pulls.all().map(land).collect(), _folder: folder })
}

fn land(from: &Landed, org: &str, staging: &Staging, copies: u64) -> Landed {
    let manifest = from.manifest();
    let dataset = dataset(&manifest.dataset).expect("the dataset");
    let partition = from.partition().expect("its partition");
    let mut landing = staging.begin(dataset, org, partition, manifest.pulled_at).expect("the landing zone");
    if from.is_absent() {
        return landing.finish_absent().expect("it lands");
    }
    let page = Page { method: "GET", url: "", status: 200, fetched_at: manifest.pulled_at, body: b"{}" };
    let page = dataset.pages.then(|| landing.page(&page).expect("a page"));
    for file in from.row_files() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("a file")).expect("Parquet");
        for batch in reader.build().expect("it reads") {
            let batch = batch.expect("a batch");
            for copy in 0..copies {
                for row in 0..batch.num_rows() {
                    let numbers = numbers(dataset, &batch, row, copy);
                    let values = dataset.columns.iter().zip(&numbers).enumerate();
                    let values: Vec<Value<'_>> = values
                        .map(|(at, (column, number))| match (number, value(batch.column(at), row)) {
                            (Some(number), Value::Text(_)) => Value::Text(number),
                            (None, Value::Int(value)) if dataset.key == [column.name] => {
                                Value::Int(value + copy as i64 * 1_000_000_000)
                            }
                            (_, value) => value,
                        })
                        .collect();
                    landing.push(page, &values).expect("a row");
                }
            }
        }
    }
    landing.finish().expect("it lands")
}

/// The numbers and ids of a row, changed alike in all datasets, so that what refers to a record still does.
fn numbers(dataset: &Dataset, batch: &RecordBatch, row: usize, copy: u64) -> Vec<Option<String>> {
    let number = |(at, name): (usize, &str)| match value(batch.column(at), row) {
        Value::Text(text) if copy > 0 && (name.ends_with("_no") || name.ends_with("_id")) => {
            Some(format!("{text}-{copy}"))
        }
        _ => None,
    };
    dataset.columns.iter().map(|column| column.name).enumerate().map(number).collect()
}

fn value(array: &dyn Array, row: usize) -> Value<'_> {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row)),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(_, scale) => Value::Decimal {
            mantissa: array.as_primitive::<Decimal128Type>().value(row),
            scale: u8::try_from(*scale).expect("decimals"),
        },
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Date32 => Value::Date(array.as_primitive::<Date32Type>().value_as_date(row).expect("a day")),
        DataType::Timestamp(..) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            Value::Timestamp(DateTime::from_timestamp_micros(micros).expect("an instant"))
        }
        other => panic!("nothing is staged as {other}"),
    }
}
