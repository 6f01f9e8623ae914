//! What is measured on: simulated sources, and what was landed from them once.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Days, NaiveDate, Utc};
use marts::clock::Clock;
use marts::compute::{Inputs, Pulls};
use marts::config::{Config, Org};
use marts::extract::oauth::MemoryTokenStore;
use marts::extract::{self, Context, Saved};
use marts::jobs::JOBS;
use marts::postgres::Database;
use marts::run::{Plan, Request, Wanted, Window, plan, run, source_for};
use marts::sandbox::world::{World, WorldOptions};
use marts::staging::{Landed, Staging};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Organisations of a night besides those of the sandbox: dealers like its dealer.
const MORE_DEALERS: usize = 4;

/// The last day that the simulated companies report.
pub fn as_of() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 20).expect("a day")
}

/// When everything is pulled.
pub fn pulled_at() -> DateTime<Utc> {
    as_of().and_hms_opt(23, 0, 0).expect("a time").and_utc()
}

/// Numbers of rows to measure with, as far as `MARTS_BENCH_ROWS` allows: up to a million, or ten.
pub fn sizes() -> Vec<u64> {
    let most = std::env::var("MARTS_BENCH_ROWS").map_or(1_000_000, |text| text.parse().expect("a number of rows"));
    let sizes: Vec<u64> = [10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|size| *size <= most).collect();
    if sizes.is_empty() { vec![most] } else { sizes }
}

/// Everything that the measurements share.
pub struct Ground {
    pub runtime: Runtime,
    /// A dealer with that many invoices in its last month.
    pub bulks: Vec<Scene>,
    /// Every source system, and more dealers; a night of it is staged.
    pub night: Scene,
    pub database: Database,
}

/// A world, its configuration, and what is staged of it.
pub struct Scene {
    pub rows: u64,
    pub config: Config,
    /// One mart of one organisation each.
    pub tasks: Vec<Task>,
    folder: TempDir,
    _world: World,
}

/// A mart to compute, and what is landed for it.
pub struct Task {
    org: usize,
    pub plan: Plan,
    pub pulls: Pulls,
}

impl Ground {
    pub fn prepare() -> Ground {
        extract::http::install_crypto();
        let runtime = Runtime::new().expect("a runtime");
        let bulks = sizes().into_iter().map(|rows| runtime.block_on(Scene::bulk(rows))).collect();
        let (night, database) = runtime.block_on(Scene::night());
        Ground { runtime, bulks, night, database }
    }
}

/// The morning after the day that the nights report.
pub fn clock() -> Clock {
    Clock::fixed((as_of() + Days::new(1)).and_hms_opt(15, 0, 0).expect("an hour").and_utc())
}

impl Scene {
    async fn start(rows: Option<u64>) -> Scene {
        // With the ledgers each mart that the program can fill has a source.
        let options =
            WorldOptions { ledgers: rows.is_none(), bulk_invoices: rows, ..WorldOptions::new(7, as_of(), clock()) };
        let world = World::start(options).await.expect("the sandbox starts");
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config::load(&world.write_config(folder.path()).expect("it is written")).expect("it is right");
        Scene { rows: rows.unwrap_or_default(), config, tasks: Vec::new(), folder, _world: world }
    }

    /// The sales of a dealer, landed once.
    async fn bulk(rows: u64) -> Scene {
        let mut scene = Scene::start(Some(rows)).await;
        scene.config.orgs.retain(|org| org.softbase.is_some());
        let job = marts::jobs::job("etl_sales_daily").expect("the job");
        let window = Window { as_of: as_of(), range: None, is_present: true };
        let org = &scene.config.orgs[0];
        let plan = plan(job, &job.sources[0], org, window).expect("a plan");
        let landed = scene.land(org, &plan, &scene.config.staging.path).await;
        scene.tasks.push(Task { org: 0, plan, pulls: landed.into_iter().collect() });
        scene
    }

    /// Pulls what a plan wants into the landing zone `staging`.
    pub async fn land(&self, org: &Org, plan: &Plan, staging: &Path) -> Vec<Landed> {
        self.land_wanted(org, plan, &plan.wanted, staging).await
    }

    /// Pulls the month of the last day of the first dataset that the scene's first plan wants.
    pub async fn land_month(&self, staging: &Path) -> Vec<Landed> {
        let task = &self.tasks[0];
        let wanted = Wanted {
            partitions: task.plan.wanted[0].partitions.iter().copied().filter(|month| month.end() >= as_of()).collect(),
            ..task.plan.wanted[0].clone()
        };
        self.land_wanted(&self.config.orgs[0], &task.plan, &[wanted], staging).await
    }

    async fn land_wanted(&self, org: &Org, plan: &Plan, wanted: &[Wanted], staging: &Path) -> Vec<Landed> {
        let staging = Staging::new(staging);
        let context = context(&self.config, org, &staging, None);
        extract::land(&context, &MemoryTokenStore::default(), plan.source.connector, wanted).await.expect("it lands")
    }

    /// A night of every organisation, staged.
    async fn night() -> (Scene, Database) {
        let mut scene = Scene::start(None).await;
        let dealer = scene.config.orgs.iter().find(|org| org.softbase.is_some()).expect("a dealer").clone();
        let more = (0..MORE_DEALERS).map(|number| Org { slug: format!("dealer-{number}"), ..dealer.clone() });
        scene.config.orgs.extend(more);
        let database = Database::connect(&scene.config.postgres, "bench").await.expect("a database");
        database.migrate().await.expect("it migrates");
        let request = Request { jobs: JOBS.iter().collect(), as_of: Some(as_of()), ..Request::default() };
        let report = run(&scene.config, &database, &clock(), &request, &|_| {}).await.expect("a night");
        for mart in &report.marts {
            assert!(mart.error.is_none(), "{:?}", mart.error);
        }
        scene.rows = report.marts.iter().map(|mart| mart.landed).sum();
        let staging = Staging::new(&scene.config.staging.path);
        for job in JOBS {
            let org = scene.config.orgs.iter().position(|org| source_for(job, org).is_some());
            let Some(at) = org else { continue };
            let org = &scene.config.orgs[at];
            let source = source_for(job, org).expect("a source");
            let mut plan =
                plan(job, source, org, Window { as_of: as_of(), range: None, is_present: true }).expect("a plan");
            let pulls = Pulls::winners(&staging, org, &plan.wanted, None).expect("it is staged");
            plan.leave_out_absent(&pulls);
            scene.tasks.push(Task { org: at, plan, pulls });
        }
        (scene, database)
    }

    pub fn inputs<'a>(&'a self, task: &'a Task) -> Inputs<'a> {
        let Task { org, plan, pulls } = task;
        Inputs { config: &self.config, org: &self.config.orgs[*org], plan, pulls, as_of: as_of() }
    }

    /// A new folder beside the landing zone, on the same disk.
    pub fn folder(&self) -> TempDir {
        tempfile::tempdir_in(self.folder.path()).expect("a folder")
    }
}

impl Task {
    /// Rows and bytes that are landed for it.
    pub fn size(&self) -> (u64, u64) {
        size(self.pulls.all())
    }
}

/// Rows of pulls, and bytes of their files.
pub fn size<'a>(landed: impl Iterator<Item = &'a Landed>) -> (u64, u64) {
    landed.fold((0, 0), |(rows, bytes), landed| {
        let manifest = landed.manifest();
        let files: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        (rows + manifest.rows, bytes + files)
    })
}

pub fn context<'a>(config: &'a Config, org: &'a Org, staging: &'a Staging, pages: Option<PathBuf>) -> Context<'a> {
    let (clock, pulled_at) = (clock(), pulled_at());
    Context {
        config,
        org,
        staging,
        clock,
        pulled_at,
        as_of: as_of(),
        saved: pages.map(Saved::Folder),
        progress: &|_, _, _| {},
    }
}
