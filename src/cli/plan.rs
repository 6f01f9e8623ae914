//! `marts plan`: what a run would do.

use std::fmt::Write as _;

use clap::Args;

use super::run::RunArgs;
use super::staging::size;
use super::{Context, Exit, Failure, Outcome, output, tables};
use crate::run::{self, Forecast, ForecastPull};
use crate::staging::Staging;

/// Show what a run would pull, restate and cost, asking nobody
///
/// It takes the arguments of `marts run`. Requests and bytes are what earlier pulls of the same kind took on average; without
/// an earlier pull nothing is known of them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  marts plan\n  marts plan etl_app_analytics --org vital --from 2026-01-01 --to 2026-01-20"
)]
pub struct PlanArgs {
    #[command(flatten)]
    pub run: RunArgs,
}

/// Shows the forecast.
pub fn execute(args: &PlanArgs, context: &Context) -> Outcome {
    let request = args.run.request()?;
    let config = context.config()?;
    super::select_orgs(&config, &request.orgs)?;
    let todo = run::todo(&config, &request, context.clock.now()).map_err(Failure::Usage)?;
    let forecasts = run::forecast(&Staging::new(&config.staging.path), &request, &todo)?;
    if context.global.json {
        output::print_json(&forecasts)?;
    } else {
        output::print(&text(&forecasts))?;
    }
    Ok(if forecasts.iter().any(|forecast| forecast.error.is_some()) { Exit::Failed } else { Exit::Good })
}

fn text(forecasts: &[Forecast]) -> String {
    let jobs = forecasts.iter().map(|forecast| {
        let periods = match (forecast.periods, &forecast.error) {
            (_, Some(error)) => format!("would fail: {error}"),
            (None, None) => "none: all days are before data_start_date or in excluded_months".to_owned(),
            (Some((first, last)), None) => format!("{first} to {last}"),
        };
        vec![forecast.org.clone(), forecast.job.to_owned(), forecast.rows.to_string(), periods]
    });
    let mut text = tables::render(&["org", "job", "rows", "restates"], &[2], jobs);
    text.push('\n');
    let pulls = forecasts.iter().flat_map(|forecast| {
        forecast.pulls.iter().map(|pull| {
            let span = match &pull.span {
                Some((first, last)) if first == last => first.clone(),
                Some((first, last)) => format!("{first} to {last}"),
                None => String::new(),
            };
            let unknown = |known: Option<String>| known.unwrap_or_else(|| "unknown".to_owned());
            vec![
                forecast.org.clone(),
                pull.dataset.to_owned(),
                pull.partitions.to_string(),
                span,
                (pull.staged + pull.shared).to_string(),
                unknown(pull.requests.map(|requests| requests.to_string())),
                unknown(pull.bytes.map(size)),
                pull.scanned.map(size).unwrap_or_default(),
            ]
        })
    });
    let heads = ["org", "dataset", "pulls", "of", "there already", "requests", "lands", "source reads"];
    text += &tables::render(&heads, &[2, 4, 5, 6, 7], pulls);
    let all = || forecasts.iter().flat_map(|forecast| &forecast.pulls);
    let sum = |of: &dyn Fn(&ForecastPull) -> Option<u64>| all().map(of).sum::<Option<u64>>();
    let pulls: usize = all().map(|pull| pull.partitions).sum();
    let requests =
        sum(&|pull| pull.requests).map_or_else(|| "an unknown number of".to_owned(), |sum| format!("about {sum}"));
    let bytes = sum(&|pull| pull.bytes).map_or_else(|| "an unknown number of bytes".to_owned(), size);
    let _ = writeln!(text, "\n{pulls} pulls, {requests} requests, {bytes} to land");
    text
}
