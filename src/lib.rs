//! `marts` fills the data marts of several organisations every night: exactly, whole and explainably.
//!
//! ```text
//! source ──pull──▶ pages ──parse──▶ typed rows ──finish──▶ Landed ──views──▶ DuckDB ──sql/marts/x.sql──▶ rows
//!  API / SQL        as answered      Parquet      rename                      one organisation's data      │
//!                                                                                                sql/checks/x.sql
//! mart ◀── one transaction per organisation: COPY, change ledger, update and insert, run ledger ◀──────────┘ audit
//! ```
//!
//! Read [`jobs`] first: the table of what is filled from what. Then [`datasets`], the table of what is pulled, and
//! [`run`], which takes a night through its four steps: [`extract`] into [`staging`], [`compute`], [`audit`], [`publish`].

pub mod accept;
pub mod alerts;
pub mod audit;
pub mod changes;
pub mod cli;
pub mod clock;
pub mod compute;
pub mod config;
pub mod datasets;
pub mod explain;
pub mod extract;
pub mod jobs;
pub mod ledger;
pub mod periods;
pub mod postgres;
pub mod publish;
pub mod reparse;
pub mod retention;
pub mod run;
pub mod sandbox;
pub mod schedule;
pub mod staging;
pub mod verify;
