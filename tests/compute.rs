//! DuckDB compute: the macros, the marts on awkward rows, what is refused, and the audits.

mod crm;
mod families;
mod financial;
mod fleet;
mod ledger;
mod macros;
mod model;
mod oracle;
mod query;
mod refusals;
mod sales;
mod sql_folder;
pub mod support;
mod unusual;
mod zoom;
