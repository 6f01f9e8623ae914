//! The QuickBooks extractor: reports as recorded, on the wire, and as landed; tokens from night to night.

#[path = "quickbooks/bench.rs"]
mod bench;
#[path = "quickbooks/pages.rs"]
mod pages;
#[path = "quickbooks/reports.rs"]
mod reports;
#[path = "quickbooks/tokens.rs"]
mod tokens;
#[path = "quickbooks/wire.rs"]
mod wire;
