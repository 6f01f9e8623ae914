//! The schema, its row-level security, publishing and the ledgers, on the embedded server and, when
//! `MARTS_TEST_POSTGRES_URL` names one, on a real server.

mod attacks;
pub mod database;
mod ledgers;
mod publishing;
mod reading;
mod schema;
mod server;
mod tenancy;
