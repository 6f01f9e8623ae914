//! From the text of `marts.toml` to a [`Config`], or to one line that says where it is wrong.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use toml::de::{DeTable, DeValue};

use super::{Config, check, wire};

/// What is wrong, and where in the text.
#[derive(Debug)]
pub(super) struct Fault {
    pub span: Option<Range<usize>>,
    pub message: String,
}

impl Config {
    /// Reads the configuration at `path`. What it keeps lies beside it, where it gives no absolute paths.
    ///
    /// # Errors
    /// One line that names the file, the line and the column, and what to write instead.
    pub fn load(path: &Path) -> Result<Config> {
        Config::load_for(path, path.parent().unwrap_or(Path::new("")))
    }

    /// The same, where what it keeps (the landing zone and the embedded PostgreSQL) lies in the folder `data`: the file's own
    /// may be read-only.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_for(path: &Path, data: &Path) -> Result<Config> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(anyhow!(
                    "there is no configuration at {}: `marts init` writes one, and --config names another file",
                    path.display()
                ));
            }
            read => read.with_context(|| format!("cannot read the configuration {}", path.display()))?,
        };
        read(&text, path, data)
    }

    /// Reads a configuration from its text, as if it were `base_dir/marts.toml`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, base_dir: &Path) -> Result<Config> {
        read(text, &base_dir.join("marts.toml"), base_dir)
    }
}

fn read(text: &str, path: &Path, data: &Path) -> Result<Config> {
    toml::from_str::<wire::File>(text)
        .map_err(|error| explain(text, &error))
        .and_then(|file| check::config(file, path, data))
        .map_err(|fault| anyhow!("{}", fault.line(text, path)))
}

impl Fault {
    pub(super) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Fault { span: Some(span), message: message.into() }
    }

    /// `marts.toml:12:1: …`
    fn line(&self, text: &str, path: &Path) -> String {
        let Some(span) = &self.span else { return format!("{}: {}", path.display(), self.message) };
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
        format!("{}:{line}:{column}: {}", path.display(), self.message)
    }
}

/// Says in our words what the TOML reader found. Its own message would quote the line, and with it what may be a secret.
fn explain(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span();
    let message = error.message();
    let table = || span.as_ref().and_then(|span| table_at(text, span)).unwrap_or_else(|| "the file".to_owned());
    let message = if let Some(names) = message.strip_prefix("unknown field ") {
        let mut names = names.split('`').skip(1).step_by(2);
        let unknown = names.next().unwrap_or_default();
        let known: Vec<&str> = names.collect();
        let hint = match nearest(unknown, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("known keys are {}", known.join(", ")),
        };
        format!("unknown key \"{unknown}\" in {}; {hint}", table())
    } else if let Some(name) = message.strip_prefix("missing field ") {
        format!("the key \"{}\" is missing in {}", name.trim_matches('`'), table())
    } else {
        message.replace('\n', " ")
    };
    Fault { span, message }
}

/// The known name that `name` was most likely meant to be.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// The table whose key, or whose header, stands at `span`, written as its header would be.
fn table_at(text: &str, span: &Range<usize>) -> Option<String> {
    let root = DeTable::parse(text).ok()?;
    find(root.get_ref(), span, "", false)
}

fn find(table: &DeTable<'_>, span: &Range<usize>, path: &str, is_element: bool) -> Option<String> {
    for (key, value) in table {
        if key.span() == *span {
            return Some(header(path, is_element));
        }
        let inner = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        let found = match value.get_ref() {
            DeValue::Table(_) if value.span() == *span => Some(header(&inner, false)),
            DeValue::Table(table) => find(table, span, &inner, false),
            DeValue::Array(elements) => elements.iter().find_map(|element| match element.get_ref() {
                DeValue::Table(_) if element.span() == *span => Some(header(&inner, true)),
                DeValue::Table(table) => find(table, span, &inner, true),
                _ => None,
            }),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn header(path: &str, is_element: bool) -> String {
    match (path, is_element) {
        ("", _) => "the file".to_owned(),
        (path, true) => format!("[[{path}]]"),
        (path, false) => format!("[{path}]"),
    }
}
