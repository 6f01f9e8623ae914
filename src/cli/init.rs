//! `marts init`: writes a configuration with its comments, by asking or from arguments.
//!
//! What it writes is cut out of `marts.example.toml`, so that every key comes with the comment it has there.

use std::io::{self, BufRead, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use toml_edit::{DocumentMut, Item, Table, Value};

use super::check::needed_secrets;
use super::{Context, Exit, Failure, Outcome, output};
use crate::config::{Config, SecretRef};

/// Write a configuration with comments, by asking for what cannot be guessed
///
/// With --org nothing is asked, and what a source needs to be told is given by --set. The file that is there already stays as it
/// is, unless --force says otherwise. No secret is asked for or written: the file says where each is kept.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// The organisation's name in paths and on the command line: lower-case letters, digits, - and _
    #[arg(long, value_name = "SLUG")]
    pub org: Option<String>,
    /// Its name for people; the slug when left out
    #[arg(long, value_name = "NAME", requires = "org")]
    pub name: Option<String>,
    /// The time zone whose days and months are reported
    #[arg(long, value_name = "ZONE", requires = "org", default_value = "America/Chicago")]
    pub timezone: String,
    /// The month in which its fiscal year begins: 1 is January
    #[arg(long, value_name = "MONTH", requires = "org", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=12))]
    pub fiscal_year_start_month: u8,
    /// What it has; may be repeated
    #[arg(long, value_name = "SOURCE", value_enum, requires = "org")]
    pub source: Vec<Source>,
    /// A value of a source, e.g. softbase.server.host=db.example.com; may be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "org", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// Where the connection URL of a PostgreSQL server is kept: env:NAME or file:PATH. Without it marts runs one of its own
    #[arg(long, value_name = "REFERENCE", requires = "org")]
    pub postgres_url: Option<String>,
    /// Replace the file that is there
    #[arg(long)]
    pub force: bool,
}

const EXAMPLES: &str = "\
Examples:
  marts init                                       ask
  marts init --org acme --source hubspot --set hubspot.home_currency=USD";

/// What an organisation may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// The dealer's ERP
    Softbase,
    /// Its general ledger: cash flow, and statements where there is no QuickBooks
    Ledger,
    Quickbooks,
    Hubspot,
    Zoom,
    /// The case database
    Cases,
    /// The export of a GA4 property
    Bigquery,
}

impl Source {
    /// The table below `[org]`.
    fn table(self) -> &'static str {
        match self {
            Source::Softbase => "softbase",
            Source::Ledger => "softbase.ledger",
            Source::Quickbooks => "quickbooks",
            Source::Hubspot => "hubspot",
            Source::Zoom => "zoom",
            Source::Cases => "cases",
            Source::Bigquery => "bigquery",
        }
    }

    /// What nobody can guess, with the question.
    fn needs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Source::Softbase => &[
                ("softbase.schema", "The dealer's schema in the ERP's database"),
                ("softbase.server.host", "The SQL Server's host"),
                ("softbase.server.database", "Its database"),
                ("softbase.server.user", "The login that may read it"),
            ],
            Source::Ledger => &[],
            Source::Quickbooks => &[("quickbooks.realm_id", "The company's id in QuickBooks")],
            Source::Hubspot => &[("hubspot.home_currency", "The account's own currency, as USD")],
            Source::Zoom => &[("zoom.account_id", "The account id of the Zoom app")],
            Source::Cases => &[
                ("cases.server.host", "The case database's host"),
                ("cases.server.database", "Its database"),
                ("cases.server.user", "The login that may read it"),
            ],
            Source::Bigquery => &[
                ("bigquery.project", "The Google Cloud project of the export"),
                ("bigquery.dataset", "The export's dataset, as analytics_123456789"),
                ("bigquery.location", "Where the dataset is, as US or EU"),
            ],
        }
    }
}

/// What was asked for, and what was answered.
#[derive(Debug, Default)]
struct Answers {
    slug: String,
    name: String,
    timezone: String,
    fiscal_year_start_month: u8,
    sources: Vec<Source>,
    set: Vec<(String, String)>,
    postgres_url: Option<String>,
}

/// Writes the file.
pub fn execute(args: &InitArgs, context: &Context) -> Outcome {
    let path = &context.global.config;
    if path.exists() && !args.force {
        return Err(Failure::Usage(anyhow!(
            "{} is there already, and stays as it is; --force replaces it, --config PATH writes another one",
            path.display()
        )));
    }
    let answers = match &args.org {
        Some(slug) => answered(args, slug)?,
        None => asked()?,
    };
    let text = written(&answers).map_err(Failure::Usage)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let config =
        Config::parse(&text, folder).map_err(|error| Failure::Usage(error.context("this makes no configuration")))?;
    std::fs::write(path, &text).with_context(|| format!("{} cannot be written", path.display()))?;
    output::print(&next(&config, path, &context.program(), answers.sources.contains(&Source::Ledger)))?;
    Ok(Exit::Good)
}

/// What the arguments say, with nothing left open.
fn answered(args: &InitArgs, slug: &str) -> Result<Answers, Failure> {
    self::slug(slug).map_err(|why| Failure::Usage(anyhow!("--org {slug}: {why}")))?;
    let mut sources = args.source.clone();
    if sources.contains(&Source::Ledger) && !sources.contains(&Source::Softbase) {
        sources.push(Source::Softbase);
    }
    if sources.is_empty() {
        return Err(Failure::Usage(anyhow!("say what {slug} has with --source: {}", names())));
    }
    let is_set = |key: &str| args.set.iter().any(|(name, _)| name == key);
    let needed = sources.iter().flat_map(|source| source.needs());
    let missing: Vec<_> = needed.filter(|(key, _)| !is_set(key)).map(|(key, _)| format!("--set {key}=…")).collect();
    if !missing.is_empty() {
        return Err(Failure::Usage(anyhow!("still to be said: {}", missing.join(" "))));
    }
    Ok(Answers {
        slug: slug.to_owned(),
        name: args.name.clone().unwrap_or_else(|| slug.to_owned()),
        timezone: args.timezone.clone(),
        fiscal_year_start_month: args.fiscal_year_start_month,
        sources,
        set: args.set.clone(),
        postgres_url: args.postgres_url.clone(),
    })
}

/// Asks on stderr and reads the answers from stdin, a line each.
fn asked() -> Result<Answers, Failure> {
    let slug =
        ask("The organisation's short name, for paths and commands", None, |text| slug(text).map(str::to_owned))?;
    let any = |text: &str| Ok(text.to_owned());
    let name = ask("Its name for people", Some(&slug), any)?;
    let timezone = ask("The time zone whose days and months are reported", Some("America/Chicago"), |text| {
        let zone = text.parse::<chrono_tz::Tz>();
        zone.map(|zone| zone.name().to_owned())
            .map_err(|_| "write a zone as America/Chicago or Europe/Berlin".to_owned())
    })?;
    let fiscal_year_start_month = ask("The month in which its fiscal year begins (1 is January)", Some("1"), |text| {
        text.parse().ok().filter(|month| (1..=12).contains(month)).ok_or_else(|| "a number from 1 to 12".to_owned())
    })?;
    let sources = ask(&format!("What it has, of {}", names()), None, |text| {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let mut sources = words
            .map(|word| Source::from_str(word, true).map_err(|_| format!("{word} is none of {}", names())))
            .collect::<Result<Vec<_>, _>>()?;
        if sources.contains(&Source::Ledger) && !sources.contains(&Source::Softbase) {
            sources.push(Source::Softbase);
        }
        Ok(sources)
    })?;
    let mut set = Vec::new();
    for (key, question) in sources.iter().flat_map(|source| source.needs()) {
        set.push(((*key).to_owned(), ask(question, None, any)?));
    }
    let url = ask(
        "Where the URL of a PostgreSQL server is kept, as env:NAME or file:PATH; none: marts runs its own",
        Some("none"),
        any,
    )?;
    let postgres_url = Some(url).filter(|url| url != "none");
    Ok(Answers { slug, name, timezone, fiscal_year_start_month, sources, set, postgres_url })
}

/// Asks until the answer can be used; an empty one is the default.
fn ask<T>(question: &str, default: Option<&str>, read: impl Fn(&str) -> Result<T, String>) -> Result<T, Failure> {
    loop {
        let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        // Nobody is left to be asked when stderr is gone.
        let _ = write!(io::stderr(), "{question}{shown}: ");
        let mut line = String::new();
        let length = io::stdin().lock().read_line(&mut line).context("stdin cannot be read")?;
        if length == 0 {
            return Err(Failure::Usage(anyhow!(
                "the answers end before the questions; nothing was written (see --org)"
            )));
        }
        let text = match (line.trim(), default) {
            ("", None) => continue,
            ("", Some(default)) => default,
            (text, _) => text,
        };
        match read(text) {
            Ok(answer) => return Ok(answer),
            Err(why) => output::note(&why),
        }
    }
}

fn slug(text: &str) -> Result<&str, String> {
    let is_fine = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
    if text.chars().all(is_fine) {
        Ok(text)
    } else {
        Err("a slug is made of lower-case letters, digits, - and _".to_owned())
    }
}

fn names() -> String {
    let names =
        Source::value_variants().iter().filter_map(|source| Some(source.to_possible_value()?.get_name().to_owned()));
    names.collect::<Vec<_>>().join(", ")
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as in softbase.server.host=db.example.com")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// The configuration: the example without what the organisation does not have.
fn written(answers: &Answers) -> anyhow::Result<String> {
    let mut example: DocumentMut =
        include_str!("../../marts.example.toml").parse().context("marts.example.toml is no TOML")?;
    let orgs =
        example.get_mut("org").and_then(Item::as_array_of_tables_mut).context("the example has no organisation")?;
    let mut org = orgs.get(0).cloned().context("the example has no organisation")?;
    // Each source from the organisation that shows it best: the first that has it.
    let shown: Vec<(String, Item)> = orgs
        .iter()
        .flat_map(Table::iter)
        .filter(|(_, item)| item.is_table())
        .map(|(key, item)| (key.to_owned(), item.clone()))
        .collect();
    let tables: Vec<_> = org.iter().filter(|(_, item)| item.is_table()).map(|(key, _)| key.to_owned()).collect();
    for key in tables {
        org.remove(&key);
    }
    for source in answers.sources.iter().filter(|source| **source != Source::Ledger) {
        let (key, item) = shown.iter().find(|(key, _)| key == source.table()).context("the example lacks a source")?;
        org.insert(key, item.clone());
    }
    if !answers.sources.contains(&Source::Ledger)
        && let Some(softbase) = org.get_mut("softbase").and_then(Item::as_table_mut)
    {
        softbase.remove("ledger");
    }
    // What is the example's own business.
    org.remove("data_start_date");
    put(&mut org, "excluded_months", Value::Array(toml_edit::Array::new()))?;
    put(&mut org, "slug", answers.slug.as_str().into())?;
    put(&mut org, "name", answers.name.as_str().into())?;
    put(&mut org, "timezone", answers.timezone.as_str().into())?;
    put(&mut org, "fiscal_year_start_month", i64::from(answers.fiscal_year_start_month).into())?;
    for (key, text) in &answers.set {
        put(&mut org, key, text.as_str().into()).with_context(|| format!("--set {key}: there is no such key"))?;
    }
    own_secrets(&mut org, &answers.slug);
    orgs.clear();
    orgs.push(org);
    if let Some(url) = &answers.postgres_url {
        let postgres =
            example.get_mut("postgres").and_then(Item::as_table_mut).context("the example has no [postgres]")?;
        postgres.insert("url", toml_edit::value(url.as_str()));
    }
    Ok(example.to_string())
}

/// Puts a value in the place of one that is there, below the tables that its key names, and leaves its comment.
fn put(table: &mut Table, key: &str, value: Value) -> anyhow::Result<()> {
    let (tables, last) = key.rsplit_once('.').map_or((None, key), |(tables, last)| (Some(tables), last));
    let mut inner = table;
    for name in tables.into_iter().flat_map(|tables| tables.split('.')) {
        inner =
            inner.get_mut(name).and_then(Item::as_table_mut).with_context(|| format!("there is no table {name}"))?;
    }
    let old = inner.get_mut(last).and_then(Item::as_value_mut).with_context(|| format!("there is no key {last}"))?;
    // A number stays a number and a list a list, however they came.
    let value = match (&*old, value.as_str()) {
        (Value::String(_), _) | (_, None) => value,
        (_, Some(text)) => text.parse().with_context(|| format!("{text} is no value for {last}"))?,
    };
    let decor = old.decor().clone();
    *old = value;
    *old.decor_mut() = decor;
    Ok(())
}

/// Names the secrets after the organisation: those of the example are named after its own.
fn own_secrets(table: &mut Table, slug: &str) {
    let upper = slug.to_uppercase().replace('-', "_");
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(inner) => own_secrets(inner, slug),
            Item::Value(value) => {
                let Some(text) = value.as_str() else { continue };
                let own = match (text.strip_prefix("env:"), text.strip_prefix("file:secrets/")) {
                    (Some(name), _) => name.split_once('_').map(|(_, rest)| format!("env:{upper}_{rest}")),
                    (_, Some(name)) => name.split_once('-').map(|(_, rest)| format!("file:secrets/{slug}-{rest}")),
                    _ => None,
                };
                if let Some(own) = own {
                    let decor = value.decor().clone();
                    *value = own.into();
                    *value.decor_mut() = decor;
                }
            }
            _ => {}
        }
    }
}

/// What is to be done next.
fn next(config: &Config, path: &Path, program: &str, has_ledger: bool) -> String {
    let mut text = format!("{} is written. What it needs now:\n", path.display());
    for secret in needed_secrets(config) {
        text += &match secret {
            SecretRef::Env(name) => format!("  the environment variable {name}\n"),
            SecretRef::File(file) => format!("  the file {}\n", file.display()),
        };
    }
    if has_ledger {
        text += "  in [org.softbase.ledger.accounts], what the accounts of this chart mean\n";
    }
    text += &format!("`{program} check` asks every source whether it is ready; `{program} run` is the first night.\n");
    text
}
