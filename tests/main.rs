//! The one integration binary: every further one would link DuckDB again.

mod business;
mod cli;
mod compute;
mod config;
mod ga4;
mod night;
mod postgres;
mod quickbooks;
mod softbase;
mod tds;
