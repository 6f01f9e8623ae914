//! DuckDB compute: the macros, the marts on awkward rows, what is refused, and the audits.

mod financial;
mod macros;
mod model;
mod oracle;
mod query;
mod refusals;
mod sales;
mod sql_folder;
pub mod support;
