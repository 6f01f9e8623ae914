//! Whole nights through the front door: the binary, over HTTP and TDS, into Postgres.

pub mod stage;

mod at_once;
mod book;
mod changes;
mod closed;
mod columns;
mod crm;
mod explain;
mod failures;
mod figures;
mod first_hour;
mod fleet;
mod gate;
mod landing_zone;
mod ledger;
mod mixing;
mod pages;
mod policies;
pub mod rebuild;
mod secrets;
mod status;
mod traces;
mod verify;
mod zoom;
