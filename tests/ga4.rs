//! The GA4 export in BigQuery: the extractor, the mart's SQL, and nights through the binary.

pub mod bench;

mod bad_days;
mod checks;
mod mart;
mod night;
mod pages;
mod pull;
