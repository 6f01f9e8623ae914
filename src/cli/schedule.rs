//! `marts schedule`: a resident scheduler.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::sync::watch;

use super::{Context, Exit, Failure, Outcome, output, tables};
use crate::config::Config;
use crate::run::RunReport;
use crate::schedule::{self, Board, Ended, Place, Platform, Resident, Stop, Watched};

/// Run each job when it is due, night after night, until told to stop
///
/// When a job is due stands in [org.schedule]; without it, each has the time that `marts jobs` shows, in the
/// organisation's time zone. A night that was missed is caught up, a job that failed is tried again, as [schedule] says.
/// Two schedulers on one database do no harm. SIGTERM and Ctrl-C end it: the organisation that is under way may finish
/// within the grace time, else it is abandoned before anything of it is published; a second signal does not wait.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ScheduleArgs {
    /// Run what is due now, and end: for a platform that starts it every few minutes
    #[arg(long)]
    pub once: bool,
    /// Answer /healthz, /readyz and /metrics on this port, or on this address and port
    #[arg(long, value_name = "ADDR", value_parser = schedule::address, conflicts_with_all = ["once", "print"])]
    pub listen: Option<SocketAddr>,
    /// Print what another scheduler needs to run the same at the same times, and end
    #[arg(long, value_name = "PLATFORM", value_enum, conflicts_with = "once")]
    pub print: Option<Platform>,
    /// Write that into this folder instead of to stdout
    #[arg(long, value_name = "DIR", requires = "print")]
    pub to: Option<PathBuf>,
    /// The image that Kubernetes is told to run
    #[arg(long, value_name = "IMAGE", default_value = "marts:latest", requires = "print")]
    pub image: String,
}

const EXAMPLES: &str = "\
Examples:
  marts schedule                    until Ctrl-C or SIGTERM
  marts schedule --once             what is due now, with what was missed and what failed
  marts schedule --listen 9187      answers http://127.0.0.1:9187/metrics meanwhile
  marts schedule --print systemd --to /etc/systemd/system
                                    timers and services in its place";

/// Schedules until told to stop.
pub fn execute(args: &ScheduleArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    if let Some(platform) = args.print {
        return print(&config, platform, context.global.data.as_deref(), args);
    }
    let progress = context.progress();
    let exits = std::sync::Mutex::new(Vec::new());
    let report = |report: &RunReport| {
        show(report, context);
        if let Ok(mut exits) = exits.lock() {
            exits.push(report.exit());
        }
    };
    let (config, board) = (Arc::new(config), Arc::new(Board::default()));
    let program = context.program();
    let resident = Resident {
        config: &config,
        clock: &context.clock,
        board: &board,
        program: &program,
        tell: &|event| progress.tell(event),
        say: &|what| context.say(what),
        report: &report,
    };
    let ended = context.runtime()?.block_on(async {
        let (sender, mut stop) = watch::channel(Stop::No);
        tokio::spawn(async move {
            for urgency in [Stop::Soon, Stop::Now] {
                super::interrupted().await;
                let _ = sender.send(urgency);
            }
            // As long as somebody listens.
            sender.closed().await;
        });
        if let Some(address) = args.listen {
            let listener = schedule::bind(address).await?;
            let address = listener.local_addr().unwrap_or(address);
            context.say(&format!("listening on http://{address}: /healthz, /readyz, /metrics"));
            let (config, board, clock) = (Arc::clone(&config), Arc::clone(&board), context.clock.clone());
            tokio::spawn(schedule::serve(listener, Watched { config, board, clock }));
        }
        if args.once { resident.once(&mut stop).await } else { resident.serve(&mut stop).await.map(Some) }
    });
    progress.finish();
    match ended? {
        Some(ended) => {
            context.say(&told(&ended));
            Ok(Exit::Good)
        }
        None => Ok(worst(exits.into_inner().unwrap_or_default())),
    }
}

fn print(config: &Config, platform: Platform, data: Option<&Path>, args: &ScheduleArgs) -> Outcome {
    let place = Place {
        program: std::env::current_exe().context("cannot tell where the program is")?,
        config: std::path::absolute(&config.path).context("cannot tell where the configuration is")?,
        data: data.map(std::path::absolute).transpose().context("cannot tell where what is kept lies")?,
        image: args.image.clone(),
    };
    let files = schedule::print(config, platform, &place).map_err(Failure::Usage)?;
    let Some(folder) = &args.to else {
        let is_alone = files.len() == 1;
        let head = |name: &str| if is_alone { String::new() } else { format!("# {name}\n") };
        let texts: Vec<_> = files.iter().map(|file| head(&file.name) + &file.text).collect();
        output::print(&texts.join("\n"))?;
        return Ok(Exit::Good);
    };
    for file in &files {
        let path = folder.join(&file.name);
        std::fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
        output::print(&format!("{}\n", path.display()))?;
    }
    Ok(Exit::Good)
}

/// One run's end, on stdout. A stream that cannot be written is not worth a failed night.
fn show(report: &RunReport, context: &Context) {
    let shown = if context.global.json {
        let text = serde_json::to_string(&serde_json::json!({ "event": "finished", "report": report }));
        text.context("the report cannot be written as JSON").and_then(|text| output::print(&(text + "\n")))
    } else {
        output::print(&tables::closing(report, &context.program()))
    };
    if let Err(error) = shown {
        tracing::warn!("{error:#}");
    }
}

fn told(ended: &Ended) -> String {
    match ended {
        Ended::Idle => "stopped: nothing was under way".to_owned(),
        Ended::Finished { orgs } => format!("stopped: the run of {orgs} has finished"),
        Ended::Abandoned { orgs, run } => {
            format!("stopped: the run of {orgs} was abandoned, and nothing of it was published: {run}")
        }
    }
}

/// The exit code that several runs deserve together.
fn worst(exits: Vec<Exit>) -> Exit {
    let is = |exit| exits.contains(&exit);
    match (is(Exit::Failed), is(Exit::Partial), is(Exit::Good)) {
        (false, false, _) => Exit::Good,
        (true, false, false) => Exit::Failed,
        _ => Exit::Partial,
    }
}
