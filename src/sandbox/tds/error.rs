//! SQL Server errors: number, state, class and the text a real server gives.

use std::fmt;

/// What an ERROR token carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    pub number: u32,
    pub state: u8,
    pub class: u8,
    pub message: String,
}

impl SqlError {
    pub fn new(number: u32, state: u8, class: u8, message: impl Into<String>) -> Self {
        SqlError { number, state, class, message: message.into() }
    }

    /// An error by number alone, with the class, state and text SQL Server gives it. Meant for fault plans.
    pub fn known(number: u32) -> Self {
        let (state, class, message) = match number {
            1205 => (
                51,
                13,
                "Transaction (Process ID 51) was deadlocked on lock resources with another process and has been chosen \
                 as the deadlock victim. Rerun the transaction.",
            ),
            1222 => (51, 16, "Lock request time out period exceeded."),
            4060 => (1, 11, "Cannot open database requested by the login. The login failed."),
            10928 => (1, 16, "Resource ID : 1. The request limit for the database is 30 and has been reached."),
            10929 => (1, 16, "Resource ID : 1. The server is currently too busy to support more requests."),
            18456 => (1, 14, "Login failed."),
            40197 => (1, 20, "The service has encountered an error processing your request. Please try again."),
            40501 => (1, 20, "The service is currently busy. Retry the request after 10 seconds."),
            40613 => (1, 17, "Database 'evo' on server 'sandbox' is not currently available. Please retry later."),
            40615 => (
                1,
                14,
                "Cannot open server 'sandbox' requested by the login. Client with IP address '127.0.0.1' is not \
                 allowed to access the server.",
            ),
            49918..=49920 => (1, 16, "Cannot process request. Not enough resources to process request."),
            _ => (1, 16, "Simulated error."),
        };
        SqlError::new(number, state, class, message)
    }

    /// The same error with another severity; 40613 for one is seen with 17 and with 20.
    pub fn with_class(mut self, class: u8) -> Self {
        self.class = class;
        self
    }

    pub(crate) fn syntax(near: impl fmt::Display) -> Self {
        SqlError::new(102, 1, 15, format!("Incorrect syntax near '{near}'."))
    }

    pub(crate) fn invalid_object(name: impl fmt::Display) -> Self {
        SqlError::new(208, 1, 16, format!("Invalid object name '{name}'."))
    }

    pub(crate) fn invalid_column(name: impl fmt::Display) -> Self {
        SqlError::new(207, 1, 16, format!("Invalid column name '{name}'."))
    }

    pub(crate) fn undeclared(name: impl fmt::Display) -> Self {
        SqlError::new(137, 2, 15, format!("Must declare the scalar variable \"{name}\"."))
    }

    pub(crate) fn overflow(from: &str, to: &str) -> Self {
        SqlError::new(8115, 8, 16, format!("Arithmetic overflow error converting {from} to data type {to}."))
    }

    /// 245: a text that does not read as the number wanted; the value is part of the message.
    pub(crate) fn conversion_of(from: &str, value: &str, to: &str) -> Self {
        SqlError::new(
            245,
            1,
            16,
            format!("Conversion failed when converting the {from} value '{value}' to data type {to}."),
        )
    }

    /// 8114: the same failure for the types whose message does not quote the value.
    pub(crate) fn conversion(from: &str, to: &str) -> Self {
        SqlError::new(8114, 5, 16, format!("Error converting data type {from} to {to}."))
    }

    pub(crate) fn date_conversion() -> Self {
        SqlError::new(241, 1, 16, "Conversion failed when converting date and/or time from character string.")
    }

    pub(crate) fn date_range(from: &str, to: &str) -> Self {
        SqlError::new(
            242,
            3,
            16,
            format!("The conversion of a {from} data type to a {to} data type resulted in an out-of-range value."),
        )
    }

    pub(crate) fn not_allowed(from: &str, to: &str) -> Self {
        SqlError::new(529, 2, 16, format!("Explicit conversion from data type {from} to {to} is not allowed."))
    }

    pub(crate) fn clash(left: &str, right: &str) -> Self {
        SqlError::new(206, 2, 16, format!("Operand type clash: {left} is incompatible with {right}"))
    }

    pub(crate) fn truncation() -> Self {
        SqlError::new(2628, 1, 16, "String or binary data would be truncated.")
    }

    /// The request itself cannot be read. The connection is closed after it, as a real server does.
    pub(crate) fn malformed(what: impl fmt::Display) -> Self {
        let message = format!("The incoming tabular data stream (TDS) protocol stream is incorrect: {what}.");
        SqlError::new(MALFORMED, 1, 16, message)
    }

    pub(crate) fn is_malformed(&self) -> bool {
        self.number == MALFORMED
    }
}

const MALFORMED: u32 = 8009;

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (class {}, state {}): {}", self.number, self.class, self.state, self.message)
    }
}

impl std::error::Error for SqlError {}
