//! A stage for nights: simulated sources, a configuration, a database, and the binary to run against them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{Days, NaiveDate, TimeDelta, Utc};
use marts::clock::Clock;
use marts::sandbox::world::{World, WorldOptions};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

/// Names a real server on which every test makes a database of its own; without it, the embedded one is used.
const SERVER: &str = "MARTS_TEST_POSTGRES_URL";

/// Marts that a night of the stage fills: all but the cash flow, which only a world with ledgers has.
pub const MARTS: usize = marts::jobs::JOBS.len() - 1;

/// The last day that the simulated companies report.
pub fn as_of() -> NaiveDate {
    day("2026-01-20")
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A world and a folder that points at it. Use it on a multi-threaded runtime: the binary is waited for.
pub struct Stage {
    pub world: World,
    pub folder: TempDir,
    /// Seconds that the clock of the sources and of the binary is ahead of the machine's.
    shift: Arc<AtomicI64>,
    database: Option<(SecretString, String)>,
}

impl Stage {
    pub async fn start() -> Stage {
        Stage::with(Stage::options(7, as_of())).await
    }

    /// A world by its seed and its last day of business; the stage gives it a clock.
    pub fn options(seed: u64, to: NaiveDate) -> WorldOptions {
        WorldOptions::new(seed, to, Clock::system())
    }

    pub async fn with(mut options: WorldOptions) -> Stage {
        let shift = Arc::new(AtomicI64::new(shift_to(options.to)));
        let told = Arc::clone(&shift);
        options.clock = Clock::from_fn(move || Utc::now() + TimeDelta::seconds(told.load(Ordering::Relaxed)));
        Stage::on_shift(options, shift).await
    }

    /// On the clock that the options have; the binary's is the machine's.
    pub async fn on_clock(options: WorldOptions) -> Stage {
        Stage::on_shift(options, Arc::default()).await
    }

    async fn on_shift(options: WorldOptions, shift: Arc<AtomicI64>) -> Stage {
        marts::extract::http::install_crypto();
        let world = World::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        world.write_config(folder.path()).unwrap();
        let database = match std::env::var(SERVER) {
            Err(_) => None,
            Ok(url) => {
                let name = format!("marts_night_{:016x}", rand::random::<u64>());
                maintain(&url, &format!("create database {name}")).await;
                let mut own = url::Url::from_str(&url).unwrap();
                own.set_path(&name);
                std::fs::write(folder.path().join("secrets/postgres-url"), own.as_str()).unwrap();
                Some((SecretString::from(url), name))
            }
        };
        let stage = Stage { world, folder, shift, database };
        if stage.database.is_some() {
            stage.amend("[postgres]\nurl = \"file:secrets/postgres-url\"\n");
            assert_eq!(stage.marts(&["migrate"]).status.code(), Some(0));
        }
        stage
    }

    /// The same folder and database over another world: a later day, say.
    pub async fn go_on(&mut self, options: WorldOptions) {
        self.world = World::start(options).await.unwrap();
        self.world.write_config(self.folder.path()).unwrap();
        if self.database.is_some() {
            self.amend("[postgres]\nurl = \"file:secrets/postgres-url\"\n");
        }
    }

    pub fn is_embedded(&self) -> bool {
        self.database.is_none()
    }

    /// Where its own database is, unless it is embedded.
    pub fn database_url(&self) -> Option<String> {
        self.database.as_ref()?;
        Some(std::fs::read_to_string(self.folder.path().join("secrets/postgres-url")).unwrap())
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("marts.toml")
    }

    /// Makes it the morning after a day, which is then the last complete one.
    pub fn turn_to(&self, day: NaiveDate) {
        self.shift.store(shift_to(day), Ordering::Relaxed);
    }

    /// Adds to the configuration.
    pub fn amend(&self, text: &str) {
        let old = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), format!("{old}\n{text}")).unwrap();
    }

    /// Replaces text in the configuration.
    pub fn reword(&self, from: &str, to: &str) {
        let old = std::fs::read_to_string(self.config()).unwrap();
        assert!(old.contains(from), "{from} is not in the configuration");
        std::fs::write(self.config(), old.replace(from, to)).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_marts"));
        command.arg("--config").arg(self.config()).args(arguments).stdin(Stdio::null());
        command.env("MARTS_CLOCK_SHIFT", self.shift.load(Ordering::Relaxed).to_string());
        command.env_remove("RUST_BACKTRACE").env_remove("RUST_LOG").env_remove("MARTS_CONFIG").env_remove("MARTS_DATA");
        // Of whoever runs the tests: a collector is not to be sent their nights.
        command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT").env_remove("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        command
    }

    /// Runs the binary to its end.
    pub fn marts(&self, arguments: &[&str]) -> Output {
        let mut output = tokio::task::block_in_place(|| self.command(arguments).output().unwrap());
        // Each run says that its clock is not the machine's.
        let said = String::from_utf8(output.stderr).unwrap();
        output.stderr =
            said.split_inclusive('\n').filter(|line| !line.contains("MARTS_CLOCK_SHIFT")).collect::<String>().into();
        output
    }

    /// Runs the binary, which must end with that code; returns what it wrote to stdout and to stderr.
    pub fn ends(&self, arguments: &[&str], code: i32) -> (String, String) {
        ended(arguments, self.marts(arguments), code)
    }

    /// The night of the simulated companies, with more arguments.
    pub fn night(&self, arguments: &[&str], code: i32) -> (String, String) {
        let as_of = as_of().to_string();
        self.ends(&[&["run", "--as-of", &as_of], arguments].concat(), code)
    }

    /// Rows of an answer from Postgres, as text.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let (csv, _) = self.ends(&["postgres", "--format", "csv", sql], 0);
        let lines = csv.lines().skip(1);
        // An empty text is written "", to tell it from NULL.
        let cell = |cell: &str| if cell == "\"\"" { String::new() } else { cell.to_owned() };
        lines.map(|line| line.split(',').map(cell).collect()).collect()
    }

    /// The one value of an answer from Postgres.
    pub fn value(&self, sql: &str) -> String {
        self.rows(sql).swap_remove(0).swap_remove(0)
    }

    /// Everything below the landing zone, by path.
    pub fn staged(&self) -> Vec<PathBuf> {
        let mut found = files(&self.folder.path().join("staging"));
        found.retain(|path| !path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".tmp-")));
        found
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some((url, name)) = self.database.take() {
            // Dropping is not async: a thread with a runtime of its own.
            let dropping = move || {
                use secrecy::ExposeSecret as _;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(maintain(url.expose_secret(), &format!("drop database {name} with (force)")));
            };
            let _ = std::thread::spawn(dropping).join();
        }
    }
}

/// Seconds from now to the morning after a day, everywhere in America.
fn shift_to(day: NaiveDate) -> i64 {
    let morning = (day + Days::new(1)).and_hms_opt(14, 0, 0).unwrap().and_utc();
    (morning - Utc::now()).num_seconds()
}

async fn maintain(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// What a command wrote to stdout and to stderr, which must have ended with that code.
pub fn ended(arguments: &[&str], output: Output, code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = output;
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "marts {arguments:?}\nstdout: {stdout}\nstderr: {stderr}");
    (stdout, stderr)
}

/// All files below a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
