//! What the server or the driver says, in one line, once: sqlx's own chain says everything twice.

use anyhow::{Result, anyhow};
use sqlx::postgres::PgDatabaseError;

/// For results of sqlx.
pub(crate) trait OneLine<T> {
    /// The error as one line, with what to do where that is known.
    fn one_line(self) -> Result<T>;
}

impl<T> OneLine<T> for sqlx::Result<T> {
    fn one_line(self) -> Result<T> {
        self.map_err(|error| anyhow!(message(&error)))
    }
}

pub(super) fn message(error: &sqlx::Error) -> String {
    let (mut text, hint) = match error {
        sqlx::Error::Tls(_) => (error.to_string(), "; if the server has no TLS, say ?sslmode=disable in the url"),
        sqlx::Error::Io(_) => (error.to_string(), "; is it running, and the host and port right?"),
        sqlx::Error::Database(database) => {
            let text = database.try_downcast_ref::<PgDatabaseError>().map_or_else(|| database.to_string(), in_full);
            let hint = match database.code().as_deref() {
                Some("28P01" | "28000") => "; check user and password in the url",
                Some("3D000") => "; create the database first",
                Some("53300") => "; raise max_connections or close other clients",
                Some("55P03") => "; another session holds the table",
                _ => "",
            };
            (text, hint)
        }
        _ => (error.to_string(), ""),
    };
    text.push_str(hint);
    text.replace('\n', " ")
}

/// The complaint, what it is about, and where that is: `COPY staged, line 3, column total_revenue`.
fn in_full(error: &PgDatabaseError) -> String {
    let mut text = error.message().to_owned();
    if let Some(detail) = error.detail() {
        text.push_str(": ");
        text.push_str(detail);
    }
    // Of several lines, the one that tells the row and the column.
    let place = |of: &str| of.lines().find(|line| line.starts_with("COPY ")).or(of.lines().next()).map(str::to_owned);
    if let Some(place) = error.r#where().and_then(place) {
        text.push_str(" at ");
        text.push_str(&place);
    }
    text
}
