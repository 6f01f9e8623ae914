//! Two worlds that fill the same marts of the same organisations by turns, so that every night has something to change and
//! a half night shows; one landing zone and one database under both.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{Days, NaiveDate, TimeDelta, Utc};
use marts::clock::Clock;
use marts::config::{PostgresSettings, SecretRef};
use marts::jobs::JOBS;
use marts::postgres::Database;
use marts::sandbox::hubspot::{HubSpotOptions, HubSpotServer};
use marts::sandbox::quickbooks::{QuickBooksOptions, QuickBooksServer, Realm};
use marts::sandbox::world::{World, WorldOptions};
use marts::staging::Staging;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use crate::night::stage::{as_of, day};

/// Names a real server on which every test makes a database of its own; without it, the embedded one is used.
pub const SERVER: &str = "MARTS_TEST_POSTGRES_URL";

/// How much a night does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Every job of a dealer and of a services company.
    Whole,
    /// One job of each kind of source: for faults that strike every job alike.
    Small,
    /// These jobs, however large the others' nights are.
    Only(&'static [&'static str]),
}

/// With it nights are of all nine marts and three organisations, unless a test needs others.
const WHOLE_NIGHTS: &str = "MARTS_WHOLE_NIGHTS";

const SMALL: [&str; 4] = ["etl_sales_daily", "etl_quickbooks_financial", "etl_hubspot_deals", "etl_app_analytics"];

const REALM: &str = "9130350000000001";

/// What a fault is tried on.
pub struct Ground {
    /// By turns the sources of a night. Same organisations, same days, other figures.
    pub worlds: Vec<World>,
    pub folder: TempDir,
    size: Size,
    /// Seconds that everybody's clock is ahead of the machine's, and the binary's own besides.
    shift: i64,
    step: AtomicI64,
    /// The server's maintenance url, and the name of the database made there.
    server: Option<(String, String)>,
}

/// What is in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// A digest of all marts of each organisation, in order of their numbers.
    pub marts: Vec<String>,
    /// Runs that the ledger says are running.
    pub running: u64,
    /// The newest row of the change ledger.
    pub newest_change: i64,
    /// How many cells the change ledger has since, and a digest of them: the same changes, the same digest.
    pub changes: (u64, String),
}

/// A figure for the table that `make soak` prints.
pub fn figure(name: &str, value: impl std::fmt::Display) {
    say(&format!("figure: {name} = {value}"));
}

/// What whoever runs the tests should see with `--nocapture`.
#[expect(clippy::print_stdout, reason = "tests have no other way to tell what they counted")]
pub fn say(what: &str) {
    println!("{what}");
}

/// A number from the environment, or its default.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// The server to test on, if there is one; says what is left out when there is none.
pub fn server(test: &str) -> Option<String> {
    let url = std::env::var(SERVER).ok();
    if url.is_none() {
        say(&format!("{test}: skipped, it needs a server ({SERVER}, see scripts/with-postgres.sh)"));
    }
    url
}

impl Ground {
    /// On the server whose url is given, else on the embedded one. One world for each seed.
    pub async fn start(url: Option<String>, seeds: &[u64], size: Size) -> Ground {
        let ledgers = std::env::var_os(WHOLE_NIGHTS).is_some();
        let size = if ledgers && size == Size::Small { Size::Whole } else { size };
        let to = as_of();
        let shift = shift_to(to);
        let clock = Clock::shifted(TimeDelta::seconds(shift));
        let folder = tempfile::tempdir().unwrap();
        let mut ground = Ground { worlds: Vec::new(), folder, size, shift, step: 0.into(), server: None };
        if let Some(url) = url {
            let name = format!("marts_faults_{:016x}", rand::random::<u64>());
            maintain(&url, &format!("create database {name}")).await;
            let mut own = url::Url::from_str(&url).unwrap();
            own.set_path(&name);
            std::fs::write(ground.folder.path().join("postgres-url"), own.as_str()).unwrap();
            ground.server = Some((url, name));
        }
        for (which, seed) in seeds.iter().enumerate() {
            // The shorter the history, the more nights there are in a minute.
            let from = day("2025-11-01");
            let mut world = World::start(WorldOptions { from, ledgers, ..WorldOptions::new(*seed, to, clock.clone()) })
                .await
                .unwrap();
            // As the real one does, this QuickBooks takes a refresh token for a day after it was replaced: a process that
            // dies before it has stored the new one could not go on otherwise, and nor could anybody else's.
            let realm = Realm::new(REALM, &format!("refresh-{seed}"), Arc::clone(&world.company));
            world.quickbooks = QuickBooksServer::start(QuickBooksOptions {
                clock: clock.clone(),
                grace: TimeDelta::hours(24),
                // So many nights an hour are not in the allowance of any account.
                requests_per_minute: usize::MAX,
                ..QuickBooksOptions::new(vec![realm])
            })
            .await
            .unwrap();
            world.hubspot = HubSpotServer::start(HubSpotOptions {
                clock: clock.clone(),
                calls: 1_000_000,
                ..HubSpotOptions::new("hubspot-token", Arc::clone(&world.crm))
            })
            .await
            .unwrap();
            let own = ground.place(which);
            std::fs::create_dir(&own).unwrap();
            world.write_config(&own).unwrap();
            for (name, secret) in [
                ("quickbooks-client-secret", "sandbox-secret"),
                ("quickbooks-refresh-token", &format!("refresh-{seed}")),
                ("hubspot-access-token", "hubspot-token"),
                // One database, one key.
                ("token-key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
            ] {
                std::fs::write(own.join("secrets").join(name), secret).unwrap();
            }
            let database = match ground.server {
                Some(_) => "url = \"file:../postgres-url\"",
                None => "data_dir = \"../postgres\"",
            };
            ground.worlds.push(world);
            // What a reader sees of an organisation is then one night or the other, whatever failed.
            let zone = "timezone = \"America/Chicago\"";
            ground.reword(which, zone, &format!("{zone}\npublish = \"all_or_nothing\""));
            ground.amend(
                which,
                &format!(
                    "[postgres]\n{database}\n[staging]\npath = \"../staging\"\n[limits]\nduckdb_threads = 1\n\
                     tries = 3\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\nhttp_timeout_secs = 20\n"
                ),
            );
        }
        ground.ends(0, &["migrate"], 0);
        ground
    }

    /// Whether nobody but the binary can be connected.
    pub fn is_embedded(&self) -> bool {
        self.server.is_none()
    }

    /// Where the configuration of a world lies.
    fn place(&self, which: usize) -> PathBuf {
        self.folder.path().join(format!("world-{which}"))
    }

    /// The configuration of a world.
    pub fn config(&self, which: usize) -> PathBuf {
        self.place(which).join("marts.toml")
    }

    /// Adds to the configuration of a world.
    pub fn amend(&self, which: usize, text: &str) {
        let old = std::fs::read_to_string(self.config(which)).unwrap();
        std::fs::write(self.config(which), format!("{old}\n{text}")).unwrap();
    }

    /// Replaces text in the configuration of a world.
    fn reword(&self, which: usize, from: &str, to: &str) {
        let old = std::fs::read_to_string(self.config(which)).unwrap();
        assert!(old.contains(from), "{from} is not in the configuration");
        std::fs::write(self.config(which), old.replace(from, to)).unwrap();
    }

    /// The landing zone.
    pub fn staging(&self) -> PathBuf {
        self.folder.path().join("staging")
    }

    /// Steps the binary's clock by so many seconds, and nobody else's.
    pub fn step(&self, seconds: i64) {
        self.step.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Has the binary reach the database at another address.
    pub fn reroute(&self, port: u16) {
        let file = self.folder.path().join("postgres-url");
        let mut url = url::Url::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        url.set_port(Some(port)).unwrap();
        std::fs::write(file, url.as_str()).unwrap();
    }

    pub fn command(&self, which: usize, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_marts"));
        command.arg("--config").arg(self.config(which)).args(arguments).stdin(Stdio::null());
        command.env("MARTS_CLOCK_SHIFT", (self.shift + self.step.load(Ordering::Relaxed)).to_string());
        command.env_remove("RUST_BACKTRACE").env_remove("RUST_LOG").env_remove("MARTS_CONFIG").env_remove("MARTS_DATA");
        command
    }

    /// Runs the binary to its end.
    pub fn marts(&self, which: usize, arguments: &[&str]) -> Output {
        tokio::task::block_in_place(|| self.command(which, arguments).output().unwrap())
    }

    /// Runs the binary, which must end with that code; returns what it wrote to both streams.
    pub fn ends(&self, which: usize, arguments: &[&str], code: i32) -> String {
        let output = self.marts(which, arguments);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "marts {arguments:?}: {said}");
        said
    }

    /// The arguments of a night, with more.
    pub fn arguments(&self, more: &[&'static str]) -> Vec<&'static str> {
        let jobs: &[&str] = match self.size {
            Size::Whole => &[],
            Size::Small => &SMALL,
            Size::Only(jobs) => jobs,
        };
        [&["run", "--json", "--as-of", "2026-01-20"], jobs, more].concat()
    }

    /// A night of a world, to its end: what it said, and its exit code.
    pub fn night(&self, which: usize) -> (String, Option<i32>) {
        let output = self.marts(which, &self.arguments(&[]));
        (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.code())
    }

    /// A night of a world, which must go well.
    pub fn run(&self, which: usize) -> String {
        self.ends(which, &self.arguments(&[]), 0)
    }

    /// Where the database is.
    pub fn settings(&self) -> PostgresSettings {
        let url = self.server.as_ref().map(|_| SecretRef::File(self.folder.path().join("postgres-url")));
        PostgresSettings { url, data_dir: self.folder.path().join("postgres") }
    }

    /// A connection of its own to the server.
    pub async fn connect(&self) -> PgConnection {
        let (url, name) = self.server.as_ref().expect("only a server has a second connection");
        let mut own = url::Url::from_str(url).unwrap();
        own.set_path(name);
        PgConnection::connect(own.as_str()).await.unwrap()
    }

    /// Rows of answers from Postgres, all of one connection.
    pub async fn ask(&self, questions: &[&str]) -> Vec<Vec<Vec<String>>> {
        let database = Database::connect(&self.settings(), "test").await.unwrap();
        let mut answers = Vec::new();
        for sql in questions {
            let answer = database.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:#}")).swap_remove(0);
            let cell = |cell: Option<String>| cell.unwrap_or_else(|| "∅".to_owned());
            answers.push(answer.rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect());
        }
        database.close().await.unwrap();
        answers
    }

    /// What is in the database. `since` is a row of the change ledger.
    pub async fn look(&self, since: i64) -> Look {
        let changes = format!(
            "select count(*), coalesce(md5(string_agg(concat_ws('|', org_id, mart, key, column_name, old_value is null, old_value,
                 new_value is null, new_value), e'\\n' order by org_id, mart, key::text, column_name)), '')
             from etl_changes where id > {since}"
        );
        let answers = self
            .ask(&[
                &digests(),
                "select count(*) filter (where status = 'running') from etl_runs",
                "select coalesce(max(id), 0) from etl_changes",
                &changes,
            ])
            .await;
        let [marts, running, newest, changes] = answers.as_slice() else { panic!("four answers") };
        Look {
            marts: marts.iter().map(|row| row[1].clone()).collect(),
            running: running[0][0].parse().unwrap(),
            newest_change: newest[0][0].parse().unwrap(),
            changes: (changes[0][0].parse().unwrap(), changes[0][1].clone()),
        }
    }

    /// What is in the database after a night that ended well: no run is left running, and nothing is left in the landing
    /// zone but pulls.
    pub async fn look_after_a_good_night(&self, since: i64, context: &str) -> Look {
        let leftovers = Staging::new(self.staging()).leftovers().unwrap();
        assert!(leftovers.is_empty(), "{context}: {leftovers:?}");
        let look = self.look(since).await;
        assert_eq!(look.running, 0, "{context}: runs are left running");
        look
    }

    /// That the change ledger tells the marts: each cell's lines form a chain, and its last one is what is published.
    pub async fn ledger_tells_the_marts(&self, context: &str) {
        let chains = "select count(*) from (
             select old_value, lag(new_value) over cell as before, row_number() over cell as place from etl_changes
             window cell as (partition by org_id, mart, key, column_name order by id)) chained
             where old_value is distinct from before";
        let broken = &self.ask(&[chains]).await[0][0][0];
        assert_eq!(broken, "0", "{context}: lines of the change ledger do not follow from each other");
        for job in JOBS {
            let key: Vec<_> = job.key.iter().map(|column| format!("'{column}', m.{column}")).collect();
            // A null cell of a new row has no line, nor has a column that is left to the table's default.
            let sql = format!(
                "with told as (
                     select distinct on (org_id, key, column_name) org_id, key, column_name, new_value
                     from etl_changes where mart = '{mart}' order by org_id, key, column_name, id desc),
                 cells as (
                     select m.org_id, jsonb_build_object({key}) as key, cell.key as column_name, cell.value
                     from {mart} m, jsonb_each_text(to_jsonb(m) - array['id', 'org_id', 'created_at', 'updated_at', 'source_table'] - array[{names}]) cell)
                 select count(*) from cells full join told using (org_id, key, column_name)
                 where cells.value is distinct from told.new_value",
                mart = job.mart,
                key = key.join(", "),
                names = job.key.iter().map(|column| format!("'{column}'")).collect::<Vec<_>>().join(", "),
            );
            assert_eq!(self.ask(&[&sql]).await[0][0][0], "0", "{context}: the ledger and {} disagree", job.mart);
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some((url, name)) = self.server.take() {
            // Dropping is not async: a thread with a runtime of its own.
            let dropping = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(maintain(&url, &format!("drop database {name} with (force)")));
            };
            let _ = std::thread::spawn(dropping).join();
        }
    }
}

/// Every cell of every mart, as one digest per organisation, in one statement: what one look shows a reader.
pub fn digests() -> String {
    let rows: Vec<_> = JOBS
        .iter()
        .map(|job| {
            format!(
                "select org_id, '{mart} ' || (to_jsonb(m) - array['id', 'created_at', 'updated_at'])::text as row from {mart} m",
                mart = job.mart
            )
        })
        .collect();
    format!(
        "select org_id, md5(string_agg(row, e'\\n' order by row)) from ({}) marts group by 1 order by 1",
        rows.join(" union all ")
    )
}

/// Seconds from now to the morning after a day, everywhere in America.
fn shift_to(day: NaiveDate) -> i64 {
    let morning = (day + Days::new(1)).and_hms_opt(14, 0, 0).unwrap().and_utc();
    (morning - Utc::now()).num_seconds()
}

pub async fn maintain(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
