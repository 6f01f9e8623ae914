//! The one integration binary: every further one would link DuckDB again.

mod acceptance;
mod business;
mod cases;
mod cli;
mod compute;
mod config;
mod faults;
mod fuzz;
mod ga4;
mod hubspot;
mod night;
mod postgres;
mod properties;
mod quickbooks;
mod schedule;
mod softbase;
mod tds;
mod zoom;
