//! `marts auth`: a person's consent, for sources that want one.

use std::io::{self, BufRead as _, Write as _};

use anyhow::{Context as _, anyhow, ensure};
use clap::{Args, ValueEnum};
use url::Url;

use super::{Context, Exit, Failure, Outcome, output, select_orgs};
use crate::config::QuickBooks;
use crate::extract::http::HttpClient;
use crate::extract::oauth::{Consent, Redirect, TokenRow};
use crate::extract::{self, quickbooks};
use crate::periods;
use crate::postgres::{Database, OrganizationRow};
use crate::staging::Staging;

/// Give consent to read a source, and keep its tokens, encrypted, in Postgres
///
/// It shows an address to open in a browser. There a person who may consent for the company does so, and is sent back to this
/// machine. The redirect URL has to be one of those that the app is registered with.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  marts auth quickbooks --org vital\n  marts auth quickbooks --org vital --redirect-url https://example.com/callback --paste"
)]
pub struct AuthArgs {
    #[arg(value_name = "SOURCE", value_enum)]
    pub source: Source,
    /// The organisation
    #[arg(long, value_name = "ORG")]
    pub org: String,
    /// Where the browser is sent afterwards
    #[arg(long, value_name = "URL", default_value = "http://localhost:8484/callback")]
    pub redirect_url: Url,
    /// Ask for the address that the browser ended at, instead of waiting for it: when the browser is on another machine
    #[arg(long)]
    pub paste: bool,
}

/// The sources that want a person's consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    Quickbooks,
}

/// The right to read the accounting data of a company (Intuit, "Scopes").
const SCOPE: &str = "com.intuit.quickbooks.accounting";

/// Has consent given, and stores what it brings.
pub fn execute(args: &AuthArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let orgs = select_orgs(&config, std::slice::from_ref(&args.org))?;
    let Source::Quickbooks = args.source;
    let org = orgs[0];
    let Some(settings) = &org.quickbooks else {
        return Err(Failure::Usage(anyhow!("{} has no [org.quickbooks] in {}", org.slug, config.path.display())));
    };
    let row = context.with_database(&config, async |database| {
        let staging = Staging::new(&config.staging.path);
        let now = context.clock.now();
        let asking = extract::Context {
            config: &config,
            org,
            staging: &staging,
            clock: context.clock.clone(),
            pulled_at: now,
            as_of: periods::last_complete_day(now, org.timezone),
            saved: None,
            progress: &|_, _, _| {},
        };
        consent(args, context, &asking, settings, database).await
    })?;
    let ends = row.expires_at.map(|at| format!("; unused they end on {}", at.format("%Y-%m-%d"))).unwrap_or_default();
    output::print(&format!("the tokens of {}/quickbooks are stored, encrypted{ends}\n", org.slug))?;
    Ok(Exit::Good)
}

async fn consent(
    args: &AuthArgs,
    context: &Context,
    asking: &extract::Context<'_>,
    settings: &QuickBooks,
    database: &Database,
) -> anyhow::Result<TokenRow> {
    database.require_migrated().await?;
    // Tokens are kept by organisation.
    database.sync_organizations(&asking.config.orgs.iter().map(OrganizationRow::from).collect::<Vec<_>>()).await?;
    let http = HttpClient::new(&asking.config.limits, asking.clock.clone())?;
    let custody = quickbooks::custody(asking, settings, database, &http)?;
    let (url, state) = custody.authorize_url(&settings.authorize_url, args.redirect_url.as_str(), SCOPE)?;
    // Before the address is shown, so that nobody consents in vain.
    let redirect = if args.paste { None } else { Some(Redirect::listen(&args.redirect_url).await?) };
    output::note(&format!("open this address in a browser, and choose the company {}:", settings.realm_id));
    output::note(url.as_str());
    let consent = match redirect {
        Some(redirect) => tokio::select! {
            consent = redirect.wait(&state) => consent?,
            () = super::interrupted() => anyhow::bail!("interrupted: no consent was given, and nothing was changed"),
        },
        None => {
            let _ = write!(io::stderr(), "the address at which the browser ended: ");
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).context("stdin cannot be read")?;
            let url = Url::parse(line.trim()).map_err(|error| anyhow!("this is no address: {error}"))?;
            Consent::read(&url, &state)?
        }
    };
    if let Some(realm_id) = &consent.realm_id {
        ensure!(
            *realm_id == settings.realm_id,
            "consent was given for the company {realm_id}, and realm_id of {} is {}: nothing was stored",
            asking.org.slug,
            settings.realm_id
        );
    }
    context.say("consent was given; exchanging its code");
    custody.consent(&consent.code, args.redirect_url.as_str()).await
}
