//! `marts alert`: what is wrong with the nights, and whether whoever should know is told.

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::{Context, Exit, Failure, Outcome, output};
use crate::alerts;

/// Show what is wrong with the nights, and tell whoever should know and has not been told
///
/// It asks the run ledger alone, so it notices a scheduler that is gone: run it from somewhere else, or from cron in the
/// morning. It ends with 1 when something is wrong.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AlertArgs {
    /// Send a message to everybody who would be told, and say whether it arrived
    #[arg(long)]
    pub test: bool,
}

const EXAMPLES: &str = "\
Examples:
  marts alert
  marts alert --test               after a change of [alerts]";

/// Shows and tells.
pub fn execute(args: &AlertArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    if args.test {
        return test(context);
    }
    let (program, now) = (context.program(), context.clock.now());
    let attended = context.with_database(&config, async |database| {
        database.require_migrated().await?;
        alerts::attend(&config, database, now, &[], false, &program).await
    })?;
    for trouble in &attended.troubles {
        tracing::warn!("{trouble}");
    }
    if context.global.json {
        output::print_json(&json!({ "conditions": attended.conditions, "told": attended.told }))?;
    } else {
        for condition in &attended.conditions {
            output::print(&format!("{}\n\n", alerts::wrong(&config, condition, "")))?;
        }
        let count = attended.conditions.len();
        let wrong = if count == 0 { "nothing is wrong".to_owned() } else { format!("{count} wrong") };
        let told = if config.alerts.tells() { format!("{} told", attended.told) } else { "nobody to tell".to_owned() };
        output::print(&format!("{wrong}, {told}\n"))?;
    }
    Ok(if attended.conditions.is_empty() { Exit::Good } else { Exit::Failed })
}

fn test(context: &Context) -> Outcome {
    let config = context.config()?;
    if !config.alerts.tells() {
        return Err(Failure::Usage(anyhow!(
            "{} names nobody to tell: it has neither [alerts] webhook nor [alerts.mail]",
            config.path.display()
        )));
    }
    let deliveries = context.runtime()?.block_on(alerts::test(&config, &context.program()));
    let mut arrived = true;
    for delivery in deliveries {
        let result = match &delivery.result {
            Ok(()) => "delivered".to_owned(),
            Err(error) => format!("NOT delivered: {error:#}"),
        };
        arrived &= delivery.result.is_ok();
        output::print(&format!("{}: {result}\n", delivery.channel))?;
    }
    Ok(if arrived { Exit::Good } else { Exit::Failed })
}
