//! `marts migrate`: bring the database up to date.

use clap::Args;
use serde::Serialize;

use super::{Context, Exit, Failure, Outcome, output};

/// Create or update the tables, roles and policies, and the organisations of the configuration
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts migrate --dry-run")]
pub struct MigrateArgs {
    /// Only list what would be applied
    #[arg(long)]
    pub dry_run: bool,
}

/// What a migration did, or would do.
#[derive(Debug, Serialize)]
pub struct Migrated {
    /// The migrations applied, in order.
    pub applied: Vec<String>,
    /// The organisations added or changed.
    pub orgs: Vec<String>,
}

/// Prints what `work` did; it is told whether it is a dry run.
pub fn execute(args: &MigrateArgs, context: &Context, work: impl FnOnce(bool) -> Result<Migrated, Failure>) -> Outcome {
    let migrated = work(args.dry_run)?;
    if context.global.json {
        output::print_json(&migrated)?;
        return Ok(Exit::Good);
    }
    let mut text = String::new();
    let (applied, changed) = if args.dry_run { ("to apply", "to write") } else { ("applied", "written") };
    for name in &migrated.applied {
        text += &format!("{applied}: {name}\n");
    }
    for slug in &migrated.orgs {
        text += &format!("{changed}: organisation {slug}\n");
    }
    if text.is_empty() {
        text += "The database is up to date.\n";
    }
    output::print(&text)?;
    Ok(Exit::Good)
}
