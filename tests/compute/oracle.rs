//! mart_financial_metrics from a whole simulated company over the wire, against the figures of the company's own entries.

use std::sync::Arc;

use base64::Engine as _;
use chrono::{DateTime, Utc};
use marts::audit::audit;
use marts::clock::Clock;
use marts::compute::Compute;
use marts::config::{Basis, QuickBooks, SecretRef};
use marts::extract::oauth::MemoryTokenStore;
use marts::extract::{self, Context};
use marts::sandbox::business::services::{ServicesCompany, ServicesOptions};
use marts::sandbox::business::{self, Cents};
use marts::sandbox::quickbooks::{QuickBooksOptions, QuickBooksServer, Realm};

use super::support::*;

/// Fourteen months, of which the first two have nothing to report and the last is open.
async fn check(seed: u64, change: impl FnOnce(&mut QuickBooksOptions)) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let now: DateTime<Utc> = "2025-02-21T08:00:00Z".parse().unwrap();
    let mut options = ServicesOptions::new(seed, day("2024-03-06"), day("2025-02-20"));
    options.fiscal_year_start_month = 11;
    let company = Arc::new(ServicesCompany::generate(options));
    let mut options = QuickBooksOptions::new(vec![Realm::new("123", "seed-token", company.clone())]);
    options.clock = Clock::fixed(now);
    change(&mut options);
    let server = QuickBooksServer::start(options).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, value: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, value).unwrap();
        SecretRef::File(path)
    };
    let mut vital = org();
    vital.softbase = None;
    vital.quickbooks = Some(QuickBooks {
        base_url: server.url(),
        token_url: server.token_url(),
        realm_id: "123".into(),
        client_id: secret("id", "sandbox-client"),
        client_secret: secret("secret", "sandbox-secret"),
        authorize_url: String::new(),
        refresh_token: Some(secret("refresh", "seed-token")),
        basis: Basis::Accrual,
    });
    let mut scene = Scene::new("etl_quickbooks_financial", vital, "2024-01-01", "2025-02-20");
    let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    scene.config.security.token_key = Some(secret("key", &key));
    scene.config.limits.http_timeout_secs = 30;
    let landed = {
        let staging = scene.staging();
        let context = Context {
            config: &scene.config,
            org: &scene.org,
            staging: &staging,
            clock: Clock::fixed(now),
            pulled_at: now,
            as_of: scene.as_of,
            saved: None,
            progress: &|_, _, _| {},
        };
        let tokens = MemoryTokenStore::default();
        extract::land(&context, &tokens, scene.plan.source.connector, &scene.plan.wanted).await.unwrap()
    };
    scene.landed = landed;

    let (compute, batches): (Compute, _) = scene.compute().unwrap();
    let mart = rows(&batches);
    assert_eq!(mart.len(), 14);
    let cents = |amount: Cents| rust_decimal::Decimal::new(amount, 2).to_string();
    for (row, period) in mart.iter().zip(&scene.plan.periods) {
        let last = period.end.min(scene.as_of);
        let profit = company.profit_and_loss(period.start, last, business::Basis::Accrual);
        let sheet = company.balance_sheet(last, business::Basis::Accrual);
        let flow = company.cash_flow(period.start, last);
        let expected = [
            ("total_revenue", profit.income + profit.other_income),
            ("total_expenses", profit.cogs + profit.expenses + profit.other_expenses),
            ("net_income", profit.net_income()),
            ("gross_profit", profit.gross_profit()),
            ("total_assets", sheet.total_assets()),
            ("total_liabilities", sheet.total_liabilities()),
            ("total_equity", sheet.total_equity()),
            ("cash_balance", sheet.bank_accounts),
            ("accounts_receivable", sheet.accounts_receivable),
            ("accounts_payable", sheet.accounts_payable),
            ("operating_cash_flow", flow.operating()),
        ];
        for (name, amount) in expected {
            assert_eq!(row[name], cents(amount), "{name} of {}, seed {seed}", period.start);
        }
    }
    assert_eq!(audit(&compute, &batches).unwrap(), [], "seed {seed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_pulled_over_the_wire_has_its_own_figures() {
    check(1, |_| {}).await;
    check(2, |options| options.misspelt_financing = true).await;
    check(3, |options| options.operating_summary_is_adjustments = true).await;
}
