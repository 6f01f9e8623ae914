//! The QuickBooks extractor: reports as recorded, on the wire, and as landed; tokens from night to night.

pub mod bench;
mod pages;
mod reports;
mod tokens;
mod wire;
