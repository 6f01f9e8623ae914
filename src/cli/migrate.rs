//! `marts migrate`: bring the database up to date.

use clap::Args;
use serde::Serialize;

use super::{Context, Exit, Outcome, output};
use crate::postgres::{Database, OrganizationRow};

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
    /// The organisations of the configuration, now in the database.
    pub orgs: Vec<String>,
}

/// Prints what was done, or would be.
pub fn execute(args: &MigrateArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let migrated = context.with_connection(&config, async |database: &Database| {
        let applied = database.pending().await?;
        if args.dry_run {
            return Ok(Migrated { applied, orgs: Vec::new() });
        }
        database.migrate().await?;
        let orgs: Vec<OrganizationRow> = config.orgs.iter().map(OrganizationRow::from).collect();
        database.sync_organizations(&orgs).await?;
        Ok(Migrated { applied, orgs: orgs.into_iter().map(|org| org.slug).collect() })
    })?;
    if context.global.json {
        output::print_json(&migrated)?;
        return Ok(Exit::Good);
    }
    let mut text = String::new();
    let verb = if args.dry_run { "to apply" } else { "applied" };
    for name in &migrated.applied {
        text += &format!("{verb}: {name}\n");
    }
    if migrated.applied.is_empty() {
        text += "The schema is up to date.\n";
    }
    if !migrated.orgs.is_empty() {
        text += &format!("organisations: {}\n", migrated.orgs.join(", "));
    }
    output::print(&text)?;
    Ok(Exit::Good)
}
