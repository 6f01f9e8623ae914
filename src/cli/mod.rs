//! The command line: one file per verb, each with its arguments, its help and its `execute`.
//!
//! stdout is data, stderr is talk. Nothing starts before the arguments are understood, so `--help`, `--version` and a
//! typing mistake answer at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, Utc};
use clap::{ArgAction, Args, Parser, Subcommand};
use indicatif::MultiProgress;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::postgres::Database;

pub mod accept;
pub mod alert;
pub mod auth;
pub mod changes;
pub mod check;
pub mod datasets;
pub mod demo;
pub mod dictionary;
pub mod explain;
pub mod init;
pub mod jobs;
pub mod logs;
pub mod migrate;
pub mod output;
pub mod plan;
pub mod postgres;
pub mod progress;
pub mod query;
pub mod rekey;
pub mod reparse;
pub mod report;
pub mod run;
pub mod runs;
pub mod sandbox;
pub mod schedule;
pub mod shell;
pub mod show;
pub mod sql;
pub mod staging;
pub mod status;
pub mod tables;
pub mod traces;
pub mod verify;

/// Fills the data marts every night: exactly, whole and explainably.
#[derive(Debug, Parser)]
#[command(name = "marts", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all good · 1 a job failed or an audit held, and nothing was published · \
                          2 usage or configuration · 3 published in part";

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration
    #[arg(long, global = true, env = "MARTS_CONFIG", value_name = "PATH", default_value = "marts.toml")]
    pub config: PathBuf,
    /// Where the landing zone and the embedded PostgreSQL lie, unless marts.toml gives absolute paths [default: its folder]
    #[arg(long, global = true, env = "MARTS_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Answer in JSON: one object a line while something happens, one document otherwise
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress, no warnings: only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on stderr: -v each stage, -vv its details
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(demo::DemoArgs),
    Init(init::InitArgs),
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Auth(auth::AuthArgs),
    Schedule(schedule::ScheduleArgs),
    Alert(alert::AlertArgs),
    Check(check::CheckArgs),
    Migrate(migrate::MigrateArgs),
    Jobs(jobs::JobsArgs),
    Dictionary(dictionary::DictionaryArgs),
    Datasets(datasets::DatasetsArgs),
    Status(status::StatusArgs),
    Runs(runs::RunsArgs),
    Show(show::ShowArgs),
    Explain(explain::ExplainArgs),
    Accept(accept::AcceptArgs),
    Verify(verify::VerifyArgs),
    Changes(changes::ChangesArgs),
    Diff(changes::DiffArgs),
    Query(query::QueryArgs),
    Sql(sql::SqlArgs),
    Rekey(rekey::RekeyArgs),
    Reparse(reparse::ReparseArgs),
    Staging(staging::StagingArgs),
    Sandbox(sandbox::SandboxArgs),
    Postgres(postgres::PostgresArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// What a verb is given besides its own arguments.
pub struct Context {
    pub global: Global,
    pub clock: Clock,
    /// Draws the progress bars; log lines step aside for them.
    pub bars: MultiProgress,
}

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0
    Good,
    /// 1: a job failed or an audit held, and nothing was published.
    Failed,
    /// 3: some of it was published.
    Partial,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// 2: what was asked for, or the configuration, is wrong.
    Usage(anyhow::Error),
    /// 1: anything else.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Other(error)
    }
}

/// What `execute` returns.
pub type Outcome = Result<Exit, Failure>;

/// Seconds that the program's clock is ahead of the machine's, or behind: for rehearsing another day against the sandbox.
const CLOCK_SHIFT: &str = "MARTS_CLOCK_SHIFT";

/// The one place that asks the machine for the time.
fn clock() -> anyhow::Result<Clock> {
    let Some(text) = std::env::var_os(CLOCK_SHIFT) else { return Ok(Clock::system()) };
    let shift = text.to_str().and_then(|text| text.parse().ok()).and_then(TimeDelta::try_seconds);
    let shift = shift.with_context(|| format!("{CLOCK_SHIFT} is a number of seconds, not {}", text.display()))?;
    let clock = Clock::shifted(shift);
    tracing::warn!(
        "the clock is shifted by {CLOCK_SHIFT}: for this run it is {}",
        clock.now().format("%Y-%m-%d %H:%M UTC")
    );
    Ok(clock)
}

/// The whole program.
pub fn main() -> ExitCode {
    output::report_panics();
    let cli = Cli::parse();
    let bars = MultiProgress::new();
    let traces = logs::start(&cli.global, &bars);
    let clock = match clock() {
        Ok(clock) => clock,
        Err(error) => {
            output::report_mistake(&error);
            return ExitCode::from(2);
        }
    };
    let context = Context { global: cli.global, clock, bars };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cli.command.execute(&context)));
    let code = match outcome {
        Ok(Ok(Exit::Good)) => ExitCode::SUCCESS,
        Ok(Ok(Exit::Failed)) => ExitCode::from(1),
        Ok(Ok(Exit::Partial)) => ExitCode::from(3),
        Ok(Err(Failure::Usage(error))) => {
            output::report_mistake(&error);
            ExitCode::from(2)
        }
        Ok(Err(Failure::Other(error))) => {
            output::report_error(&error);
            ExitCode::from(1)
        }
        // The hook has already said what there is to say.
        Err(_) => ExitCode::from(1),
    };
    if let Some(traces) = traces {
        traces.end();
    }
    code
}

impl Command {
    fn execute(&self, context: &Context) -> Outcome {
        match self {
            Command::Demo(args) => demo::execute(args, context),
            Command::Init(args) => init::execute(args, context),
            Command::Run(args) => run::execute(args, context),
            Command::Plan(args) => plan::execute(args, context),
            Command::Auth(args) => auth::execute(args, context),
            Command::Schedule(args) => schedule::execute(args, context),
            Command::Alert(args) => alert::execute(args, context),
            Command::Check(args) => check::execute(args, context),
            Command::Migrate(args) => migrate::execute(args, context),
            Command::Jobs(args) => jobs::execute(args, context),
            Command::Dictionary(args) => dictionary::execute(args, context),
            Command::Datasets(args) => datasets::execute(args, context),
            Command::Status(args) => status::execute(args, context),
            Command::Runs(args) => runs::execute(args, context),
            Command::Show(args) => show::execute(args, context),
            Command::Explain(args) => explain::execute(args, context),
            Command::Accept(args) => accept::execute(args, context),
            Command::Verify(args) => verify::execute(args, context),
            Command::Changes(args) => changes::changes(args, context),
            Command::Diff(args) => changes::diff(args, context),
            Command::Query(args) => query::execute(args, context),
            Command::Sql(args) => sql::execute(args, context),
            Command::Rekey(args) => rekey::execute(args, context),
            Command::Reparse(args) => reparse::execute(args, context),
            Command::Staging(args) => staging::execute(args, context),
            Command::Sandbox(args) => sandbox::execute(args, context),
            Command::Postgres(args) => postgres::execute(args, context),
            Command::Completions(args) => shell::completions(args),
            Command::Man(args) => shell::man(args, context),
        }
    }
}

impl Context {
    /// The configuration that `--config` names.
    ///
    /// # Errors
    /// A usage error when it is missing or wrong.
    pub fn config(&self) -> Result<Config, Failure> {
        let Global { config, data, .. } = &self.global;
        let loaded = match data {
            Some(data) => Config::load_for(config, data),
            None => Config::load(config),
        };
        loaded.map_err(Failure::Usage)
    }

    /// The runtime, for the verbs that wait for something.
    ///
    /// # Errors
    /// When the machine has no threads to give.
    pub fn runtime(&self) -> Result<tokio::runtime::Runtime, Failure> {
        crate::extract::http::install_crypto();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        Ok(runtime.context("cannot start the runtime")?)
    }

    /// Does some work with the configured database, and closes it whatever comes of the work.
    fn with_database<T>(
        &self,
        config: &Config,
        work: impl AsyncFnOnce(&Database) -> anyhow::Result<T>,
    ) -> Result<T, Failure> {
        self.with_connection(config, async |database| {
            if config.postgres.url.is_none() {
                // The embedded server is nobody else's to bring up to date.
                database.migrate().await?;
            }
            work(database).await
        })
    }

    /// The same, with the schema left as it is.
    fn with_connection<T>(
        &self,
        config: &Config,
        work: impl AsyncFnOnce(&Database) -> anyhow::Result<T>,
    ) -> Result<T, Failure> {
        let done = self.runtime()?.block_on(async {
            let database = Database::connect(&config.postgres, &format!("process {}", std::process::id())).await?;
            let done = work(&database).await;
            let closed = database.close().await;
            done.and_then(|done| closed.map(|()| done))
        });
        Ok(done?)
    }

    /// How a command begins that works on the same configuration.
    pub fn program(&self) -> String {
        let program = program(&self.global.config);
        let data = self.global.data.as_ref();
        data.map_or(program.clone(), |data| format!("{program} --data {}", data.display()))
    }

    /// Says something besides the result on stderr, unless only results are wanted.
    fn say(&self, what: &str) {
        if !self.global.quiet {
            output::note(what);
        }
    }

    /// How this command tells of its progress.
    pub fn progress(&self) -> progress::Progress {
        progress::Progress::new(&self.global, &self.bars)
    }
}

/// Ends with Ctrl-C or SIGTERM.
async fn interrupted() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            // Then Ctrl-C alone ends it.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// How a command begins that works on that configuration: the program as it was called, which need not be in PATH.
pub(crate) fn program(config: &Path) -> String {
    let called = std::env::args().next().unwrap_or_else(|| "marts".to_owned());
    if config == Path::new("marts.toml") { called } else { format!("{called} --config {}", config.display()) }
}

/// The configured organisations of those slugs; all of them when none is named.
///
/// # Errors
/// A usage error that names the nearest slug.
pub fn select_orgs<'a>(config: &'a Config, slugs: &[String]) -> Result<Vec<&'a config::Org>, Failure> {
    if slugs.is_empty() {
        return Ok(config.orgs.iter().collect());
    }
    let find = |slug: &String| {
        config.orgs.iter().find(|org| org.slug == *slug).ok_or_else(|| {
            let known: Vec<&str> = config.orgs.iter().map(|org| org.slug.as_str()).collect();
            Failure::Usage(anyhow!(
                "{} has no organisation \"{slug}\"; it has {}",
                config.path.display(),
                known.join(", ")
            ))
        })
    };
    slugs.iter().map(find).collect()
}

/// Years that a day or an instant may be of. Nothing that is reported here began before; and the calendar's own ends, where
/// there is no day before or after, are far.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=9999;

/// Reads a day on the command line.
pub(crate) fn day(text: &str) -> Result<chrono::NaiveDate, String> {
    match text.parse::<chrono::NaiveDate>() {
        Ok(day) if day.to_string() == text && YEARS.contains(&day.year()) => Ok(day),
        _ => Err("write a day as in 2026-01-20".to_owned()),
    }
}

/// Reads an instant on the command line: as instants are written, or as the folders of pulls are named.
pub(crate) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let name = text.strip_prefix("pull=").unwrap_or(text);
    let instant = match NaiveDateTime::parse_from_str(name, "%Y%m%dT%H%M%SZ") {
        Ok(instant) => Some(instant.and_utc()),
        Err(_) => DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.to_utc()),
    };
    instant.filter(|instant| YEARS.contains(&instant.year())).ok_or_else(|| {
        "write an instant as in 2026-01-21T12:00:00Z, or as a pull is named, 20260121T120000Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_helps_with_examples_that_are_understood() {
        for verb in Cli::command().get_subcommands() {
            assert!(verb.get_about().is_some(), "{} says nothing of itself", verb.get_name());
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            for example in help.lines().filter_map(|line| line.strip_prefix("  marts ")) {
                let words = words(example);
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{words:?}: {error}");
                }
            }
        }
    }

    /// The words of an example up to what a shell would take, or what only explains.
    fn words(example: &str) -> Vec<String> {
        let mut words = vec!["marts".to_owned()];
        for (at, part) in example.split('\'').enumerate() {
            if at % 2 == 1 {
                words.push(part.to_owned());
                continue;
            }
            let end = ["  ", " |", " >", " &"].iter().filter_map(|stop| part.find(stop)).min();
            words.extend(part[..end.unwrap_or(part.len())].split_whitespace().map(str::to_owned));
            if end.is_some() {
                break;
            }
        }
        words
    }

    /// The pages of the book, and README.
    fn pages() -> Vec<(String, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
        let pages = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
        let pages = pages.chain([root.join("README.md"), root.join("staging/README.md")]);
        pages.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
    }

    /// Tests of nights run them too; this one sees that none is misspelt.
    #[test]
    fn every_command_of_the_book_is_understood() {
        let mut seen = 0;
        for (page, text) in pages() {
            for line in text.lines() {
                let Some(command) = line.strip_prefix("    marts ").or_else(|| line.strip_prefix("$ marts ")) else {
                    continue;
                };
                let words = words(command);
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{page}: {words:?}: {error}");
                }
                seen += 1;
            }
        }
        assert!(seen > 20, "only {seen}");
    }

    /// What is quoted between the `…` of a message stands somewhere in the program.
    #[test]
    fn every_message_of_the_book_is_one_of_the_programs() {
        let mut sources = String::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => sources += &std::fs::read_to_string(path).unwrap(),
                }
            }
        }
        // A line that ends with a backslash goes on behind the blanks of the next.
        let lines: Vec<_> =
            sources.split("\\\n").enumerate().map(|(at, part)| if at > 0 { part.trim_start() } else { part }).collect();
        let sources = lines.concat();
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/messages.md"));
        let quoted = page.lines().filter_map(|line| line.strip_prefix("- `")?.strip_suffix("`\\"));
        let mut seen = 0;
        for message in quoted {
            for part in message.split('…').map(|part| part.trim_matches(['`', ' ', ':', ';', ','])) {
                assert!(sources.contains(part), "nothing says {part:?}");
                seen += 1;
            }
        }
        assert!(seen > 15, "only {seen}");
    }

    #[test]
    fn every_verb_is_in_the_readme() {
        for verb in Cli::command().get_subcommands() {
            let name = verb.get_name();
            assert!(README.contains(&format!("| `marts {name}")), "README.md has no row for `marts {name}`");
        }
    }

    #[test]
    fn the_readme_shows_the_table_of_jobs() {
        let table = jobs::markdown();
        assert!(README.contains(&table), "README.md wants this table:\n{table}");
    }
}
