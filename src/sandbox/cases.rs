//! The case database on the wire: a SQL Server of its own, as the real one is.

use anyhow::Result;

use super::business::services::{CASE_SCHEMA, CaseBook};
use super::tds::{Database, TdsOptions, TdsServer};
use super::world::table;

pub const DATABASE: &str = "cases";
pub const LOGIN: &str = "marts_cases";

/// The tables that a login sees.
pub fn database(book: &CaseBook) -> Result<Database> {
    Database::new(DATABASE, vec![table(CASE_SCHEMA, book.table())?])
}

/// A running server that admits one login.
pub async fn start(book: &CaseBook, password: &str) -> Result<TdsServer> {
    let users = vec![(LOGIN.to_owned(), password.to_owned())];
    TdsServer::start(TdsOptions { users, ..TdsOptions::new(database(book)?) }).await
}

/// Its part of an organisation's configuration.
pub fn config(server: &TdsServer) -> String {
    format!(
        r#"
[org.cases]
category_column = "Solution"

[org.cases.server]
host = "localhost"
port = {port}
database = "{DATABASE}"
user = "{LOGIN}"
password = "file:secrets/cases-password"
tls = "required"
ca_file = "cases-ca.pem"
"#,
        port = server.addr().port()
    )
}
