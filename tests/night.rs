//! Whole nights through the front door: the binary, over HTTP and TDS, into Postgres.

pub mod stage;

mod failures;
mod figures;
mod pages;
mod secrets;
mod zoom;
