//! `marts dictionary`: the marts column by column, out of the migrations and the headers of the SQL.

use std::fmt::Write as _;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::{Context, Exit, Outcome, jobs, output, tables};
use crate::compute::{mart_columns, mart_comment};
use crate::jobs::{JOBS, Job, Source};

/// Describe the marts column by column, with the rules that make them
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  marts dictionary mart_cash_flow\n  marts dictionary --markdown > docs/marts.md")]
pub struct DictionaryArgs {
    /// The mart; all of them without it
    #[arg(value_name = "MART", value_parser = PossibleValuesParser::new(JOBS.iter().map(|job| job.mart)), hide_possible_values = true)]
    pub mart: Option<String>,
    /// As a page in Markdown
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// Prints the dictionary.
pub fn execute(args: &DictionaryArgs, context: &Context) -> Outcome {
    let jobs: Vec<&Job> = JOBS.iter().filter(|job| args.mart.as_ref().is_none_or(|mart| mart == job.mart)).collect();
    if context.global.json {
        output::print_json(&jobs.into_iter().map(describe).collect::<anyhow::Result<Vec<_>>>()?)?;
    } else if args.markdown {
        output::print(&markdown(&jobs)?)?;
    } else {
        let texts = jobs.into_iter().map(text).collect::<anyhow::Result<Vec<_>>>()?;
        output::print(&texts.join("\n"))?;
    }
    Ok(Exit::Good)
}

/// The page `docs/marts.md`.
///
/// # Errors
/// A mart or column that nothing is said of.
pub fn markdown(jobs: &[&Job]) -> anyhow::Result<String> {
    let mut page = "# The marts, column by column\n\nWritten by `marts dictionary --markdown`; a test holds it to the migrations and the \
        SQL. Each table also has `id`, `org_id`, `source_system`, `created_at` and `updated_at`.\n"
        .to_owned();
    for job in jobs {
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\nFilled by `{}` from {}, {}.\n",
            job.mart,
            mart_comment(job.mart, None)?,
            job.name,
            jobs::connectors(job),
            jobs::rows(job)
        );
        page += "\n| column | type | what it means |\n|---|---|---|\n";
        for column in mart_columns(job.mart)? {
            let meaning = mart_comment(job.mart, Some(&column.name))?.replace('|', "\\|");
            let _ = writeln!(page, "| `{}` | {} | {meaning} |", column.name, column.kind.to_string().to_lowercase());
        }
        for source in job.sources {
            let from = if job.sources.len() > 1 { format!(" from {}", source.connector.name()) } else { String::new() };
            let _ = write!(page, "\nThe rules{from}:\n\n");
            for rule in rules(source) {
                let _ = writeln!(page, "- {rule}");
            }
        }
    }
    Ok(page)
}

fn describe(job: &Job) -> anyhow::Result<Value> {
    let columns = mart_columns(job.mart)?.into_iter().map(|column| {
        let meaning = mart_comment(job.mart, Some(&column.name))?;
        Ok(json!({ "name": column.name, "type": column.kind.to_string(), "meaning": meaning }))
    });
    let sources =
        job.sources.iter().map(|source| json!({ "connector": source.connector.name(), "rules": rules(source) }));
    Ok(json!({
        "mart": job.mart,
        "job": job.name,
        "meaning": mart_comment(job.mart, None)?,
        "key": job.key,
        "columns": columns.collect::<anyhow::Result<Vec<_>>>()?,
        "sources": sources.collect::<Vec<_>>(),
    }))
}

fn text(job: &Job) -> anyhow::Result<String> {
    let rows = mart_columns(job.mart)?.into_iter().map(|column| {
        Ok(vec![
            column.name.clone(),
            column.kind.to_string().to_lowercase(),
            mart_comment(job.mart, Some(&column.name))?,
        ])
    });
    let rows = rows.collect::<anyhow::Result<Vec<_>>>()?;
    let mut text = format!("{}: {}\n\n", job.mart, mart_comment(job.mart, None)?);
    text += &tables::render(&["column", "type", "what it means"], &[], rows.into_iter());
    for source in job.sources {
        let _ = write!(text, "\nThe rules, from {}:\n", source.connector.name());
        for rule in rules(source) {
            let _ = writeln!(text, "- {rule}");
        }
    }
    Ok(text)
}

/// The sentences in the header of a mart's SQL, behind what it is, which a blank line ends, and the list of datasets.
fn rules(source: &Source) -> Vec<String> {
    let header = source.sql.lines().map_while(|line| line.strip_prefix("--")).map(str::trim);
    let rules = header.skip_while(|line| !line.is_empty());
    let lines: Vec<_> = rules.filter(|line| !line.is_empty() && !line.starts_with("reads: ")).collect();
    let text = lines.join(" ");
    text.split_inclusive(". ").map(|sentence| sentence.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `marts dictionary --markdown > docs/marts.md` writes it anew.
    #[test]
    fn the_page_of_the_marts_is_up_to_date() {
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/marts.md"));
        let jobs: Vec<_> = JOBS.iter().collect();
        assert_eq!(page, markdown(&jobs).unwrap(), "write it anew: marts dictionary --markdown > docs/marts.md");
    }

    #[test]
    fn every_mart_has_rules_and_every_sentence_ends() {
        for source in JOBS.iter().flat_map(|job| job.sources) {
            let rules = rules(source);
            assert!(rules.len() > 2, "{}: {rules:?}", source.sql_name);
            // What the mart is, and what it reads, are no rules, however many lines they take.
            let mut paragraphs = source.sql.split("\n--\n").map(|lines| lines.replace("\n--", ""));
            let (title, reads) = (paragraphs.next().unwrap(), paragraphs.next().unwrap());
            assert!(reads.starts_with("-- reads: "), "{}: {reads}", source.sql_name);
            let stated = paragraphs.next().unwrap();
            assert!(
                stated.trim_start_matches("--").trim_start().starts_with(&rules[0]),
                "{}: {rules:?}",
                source.sql_name
            );
            assert!(!title.contains(&rules[0]), "{}: {rules:?}", source.sql_name);
            for rule in rules {
                assert!(rule.ends_with('.'), "{}: {rule}", source.sql_name);
            }
        }
    }
}
