//! `marts rekey`: stored tokens under another key.

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::{Context, Exit, Failure, Outcome, output};
use crate::config::SecretRef;
use crate::datasets::Connector;
use crate::extract::oauth::{TokenOwner, TokenStore, Vault};
use crate::postgres::OrganizationRow;

/// Encrypt the stored tokens with the key that token_key now refers to
///
/// Put the new key in its place first and keep the old one until this has ended. Rows that are under the new key already are
/// left alone, so that it can be repeated.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts rekey --from file:secrets/old-token-key")]
pub struct RekeyArgs {
    /// Where the former key is kept: env:NAME or file:PATH
    #[arg(long, value_name = "REFERENCE", value_parser = reference)]
    pub from: SecretRef,
}

fn reference(text: &str) -> Result<SecretRef, String> {
    match text.split_once(':') {
        Some(("env", name)) if !name.is_empty() => Ok(SecretRef::Env(name.to_owned())),
        Some(("file", path)) if !path.is_empty() => Ok(SecretRef::File(path.into())),
        _ => Err("say where the key is kept, as env:NAME or file:PATH, and not the key itself".to_owned()),
    }
}

/// Changes the key of every row.
pub fn execute(args: &RekeyArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let key =
        args.from.read().and_then(|key| Vault::new(&key)).with_context(|| format!("the former key at {}", args.from));
    let former = key.map_err(Failure::Usage)?;
    let vault = Vault::open(&config).map_err(Failure::Usage)?;
    let (changed, kept) = context.with_database(&config, async |database| {
        database.require_migrated().await?;
        database.sync_organizations(&config.orgs.iter().map(OrganizationRow::from).collect::<Vec<_>>()).await?;
        let (mut changed, mut kept) = (0, 0);
        for org in config.orgs.iter().filter(|org| org.has(Connector::QuickBooks)) {
            let owner = TokenOwner { org: org.slug.clone(), connector: Connector::QuickBooks.name() };
            let mut locked = TokenStore::lock(database, &owner).await?;
            if let Some(row) = locked.load().await? {
                let resealed = vault.reseal(&owner, &row, &former).with_context(|| format!("the tokens of {owner}"))?;
                match resealed {
                    Some(next) => {
                        locked.store(&next, Some(row.version)).await?;
                        changed += 1;
                    }
                    None => kept += 1,
                }
            }
            locked.release().await?;
        }
        Ok((changed, kept))
    })?;
    if changed + kept == 0 {
        return Err(Failure::Other(anyhow!("no tokens are stored, so there is nothing to encrypt anew")));
    }
    output::print(&format!("{changed} rows are under the new key now, {kept} were already\n"))?;
    Ok(Exit::Good)
}
