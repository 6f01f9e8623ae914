//! `marts datasets`: the data dictionary of the landing zone.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::{Context, Exit, Outcome, output, tables};
use crate::datasets::{DATASETS, Dataset, Grain, dataset};

/// List the raw pulls in the landing zone, or describe one column by column
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  marts datasets\n  marts datasets softbase_invoices")]
pub struct DatasetsArgs {
    /// The dataset to describe; all of them are listed without it
    #[arg(value_parser = names(), hide_possible_values = true)]
    pub name: Option<String>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(DATASETS.iter().map(|dataset| dataset.name))
}

/// Prints the data dictionary.
pub fn execute(args: &DatasetsArgs, context: &Context) -> Outcome {
    let named = args.name.as_deref().and_then(dataset);
    match (named, context.global.json) {
        (Some(dataset), true) => output::print_json(&describe(dataset))?,
        (Some(dataset), false) => output::print(&columns(dataset))?,
        (None, true) => output::print_json(&DATASETS.iter().copied().map(describe).collect::<Vec<_>>())?,
        (None, false) => output::print(&list())?,
    }
    Ok(Exit::Good)
}

fn list() -> String {
    let rows = DATASETS.iter().map(|dataset| {
        vec![
            dataset.name.to_owned(),
            dataset.connector.name().to_owned(),
            grain(dataset).to_owned(),
            dataset.key.join(", "),
            dataset.meaning.to_owned(),
        ]
    });
    tables::render(&["dataset", "source", "one pull covers", "key", "what it holds"], &[], rows)
}

fn columns(dataset: &Dataset) -> String {
    let rows = dataset.columns.iter().map(|column| {
        let mut notes = Vec::new();
        if dataset.key.contains(&column.name) {
            notes.push("key");
        }
        if !column.nullable {
            notes.push("not null");
        }
        if column.personal {
            notes.push("personal");
        }
        let kind = column.kind.sql();
        vec![column.name.to_owned(), kind, notes.join(", "), column.from.to_owned(), column.meaning.to_owned()]
    });
    let table = tables::render(&["column", "type", "notes", "comes from", "what it holds"], &[], rows);
    let pages = if dataset.pages {
        "\nEach row carries the number of the page it came from, in the column page.\n"
    } else {
        ""
    };
    let name = dataset.name;
    format!(
        "{name}: {meaning}\nOne pull covers {grain}: staging/{name}/org=<slug>/period={period}/pull=<time>/\n\n{table}{pages}",
        meaning = dataset.meaning,
        grain = grain(dataset),
        period = match dataset.grain {
            Grain::Month => "<YYYY-MM>",
            Grain::Day => "<YYYY-MM-DD>",
            Grain::Snapshot => "<YYYY-MM-DD>",
        },
    )
}

fn describe(dataset: &Dataset) -> Value {
    let columns: Vec<Value> = dataset
        .columns
        .iter()
        .map(|column| {
            json!({
                "column": column.name,
                "type": column.kind.sql(),
                "nullable": column.nullable,
                "personal": column.personal,
                "from": column.from,
                "meaning": column.meaning,
            })
        })
        .collect();
    json!({
        "dataset": dataset.name,
        "connector": dataset.connector.name(),
        "grain": match dataset.grain { Grain::Month => "month", Grain::Day => "day", Grain::Snapshot => "snapshot" },
        "key": dataset.key,
        "may_be_empty": dataset.may_be_empty,
        "pages": dataset.pages,
        "meaning": dataset.meaning,
        "columns": columns,
    })
}

fn grain(dataset: &Dataset) -> &'static str {
    match dataset.grain {
        Grain::Month => "a month",
        Grain::Day => "a day",
        Grain::Snapshot => "the state as of a day",
    }
}
