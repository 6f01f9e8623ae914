//! Faults on purpose: at which connection or statement, how often, and what happens.

use std::time::Duration;

use super::error::SqlError;

/// What goes wrong with a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionFault {
    /// Closed right after it was accepted.
    Close,
    /// Reset right after it was accepted.
    Reset,
    /// Nothing is answered; after this long the connection is closed.
    StallHandshake(Duration),
    /// The login is refused, whatever its password.
    RefuseLogin(SqlError),
    /// The login is answered with a redirect, as Azure does.
    Route { host: String, port: u16 },
}

/// What goes wrong with a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementFault {
    /// An error in place of the result.
    Error(SqlError),
    /// The answer is late by this much.
    Delay(Duration),
    /// This many rows, or all there are when there are fewer, and then a break before the end of the result.
    AfterRows(u64, Break),
    /// The whole result goes out although the client cancels; the cancel is acknowledged in a message of its own.
    IgnoreAttention,
}

/// How a result breaks off.
#[derive(Clone, Debug, PartialEq)]
pub enum Break {
    /// An error token; the connection lives on.
    Error(SqlError),
    /// The connection ends with FIN.
    Close,
    /// The connection ends with RST.
    Reset,
    /// Nothing comes for this long, then the result goes on. A cancel is answered at once.
    Stall(Duration),
    /// Nothing comes until the client cancels or goes away.
    StallUntilAttention,
}

#[derive(Clone, Debug)]
enum Trigger {
    Connection(ConnectionFault),
    /// Case-sensitive part of the SQL; empty for any.
    Statement(String, StatementFault),
}

/// One fault: what happens, at the n-th match, how many times.
#[derive(Clone, Debug)]
pub struct Fault {
    trigger: Trigger,
    nth: u64,
    times: u64,
    seen: u64,
}

impl Fault {
    pub fn connection(fault: ConnectionFault) -> Fault {
        Fault { trigger: Trigger::Connection(fault), nth: 1, times: 1, seen: 0 }
    }

    /// For statements whose SQL contains the text; every statement when it is empty.
    pub fn statement(containing: &str, fault: StatementFault) -> Fault {
        Fault { trigger: Trigger::Statement(containing.into(), fault), nth: 1, times: 1, seen: 0 }
    }

    /// Begins at the n-th match, counted from 1, instead of the first.
    pub fn nth(mut self, nth: u64) -> Fault {
        self.nth = nth.max(1);
        self
    }

    /// Happens at so many matches in a row instead of one.
    pub fn times(mut self, times: u64) -> Fault {
        self.times = times;
        self
    }

    /// Counts a match; whether the fault happens at this one.
    fn matched(&mut self) -> bool {
        self.seen += 1;
        self.seen >= self.nth && self.seen - self.nth < self.times
    }
}

/// All faults of a server. When several would happen at once the first one does; all of them count the match.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    faults: Vec<Fault>,
}

impl FaultPlan {
    /// A plan of one fault.
    pub fn one(fault: Fault) -> FaultPlan {
        FaultPlan { faults: vec![fault] }
    }

    pub fn and(mut self, fault: Fault) -> FaultPlan {
        self.faults.push(fault);
        self
    }

    pub(crate) fn on_connection(&mut self) -> Option<ConnectionFault> {
        self.first(|trigger| match trigger {
            Trigger::Connection(fault) => Some(fault),
            Trigger::Statement(..) => None,
        })
    }

    pub(crate) fn on_statement(&mut self, sql: &str) -> Option<StatementFault> {
        self.first(|trigger| match trigger {
            Trigger::Statement(part, fault) if sql.contains(part.as_str()) => Some(fault),
            _ => None,
        })
    }

    fn first<T: Clone>(&mut self, concerned: impl Fn(&Trigger) -> Option<&T>) -> Option<T> {
        let mut happening = None;
        for fault in &mut self.faults {
            let what = concerned(&fault.trigger).cloned();
            if what.is_some() && fault.matched() {
                happening = happening.or(what);
            }
        }
        happening
    }
}
