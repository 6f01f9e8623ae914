//! The source systems, simulated on the wire from a seeded generator: for the tests, `marts demo` and `marts sandbox`.

pub mod bigquery;
pub mod business;
pub mod cases;
pub mod http;
pub mod hubspot;
pub mod quickbooks;
pub mod tds;
pub mod world;
pub mod zoom;
