//! A SQL Server on the wire (TDS 7.4 and 8), with tables behind it and faults on demand.
//!
//! It answers the closed grammar our own extractor speaks, with SQL Server's types, conversions and errors, and the
//! aggregates that verification asks; any other SQL is an error, never an empty result.
//!
//! ```ignore
//! use marts::sandbox::tds::*;
//!
//! let columns = vec![
//!     TableColumn::new("InvoiceNo", SqlType::Int).not_null(),
//!     TableColumn::new("GrandTotal", SqlType::Money),
//! ];
//! let rows = vec![vec![SqlValue::Int(130001), SqlValue::Decimal { mantissa: 1999, scale: 2 }]];
//! let database = Database::new("evo", vec![Table::new("ben002", "InvoiceReg", columns, rows)])?;
//! let server = TdsServer::start(TdsOptions {
//!     users: vec![("reader".into(), "secret".into())],
//!     faults: FaultPlan::one(
//!         Fault::statement("InvoiceReg", StatementFault::AfterRows(1, Break::Error(SqlError::known(1205)))).nth(2),
//!     ),
//!     ..TdsOptions::new(database)
//! })
//! .await?;
//! println!("{} with {}", server.addr(), server.ca_pem());
//! ```

mod aggregate;
mod ast;
mod compare;
mod connection;
mod convert;
mod error;
mod faults;
mod filter;
mod grammar;
mod lexer;
mod login;
mod number;
mod packet;
mod query;
mod request;
mod session;
mod tables;
mod text;
mod tls;
mod tokens;
mod types;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

pub use self::{
    error::SqlError,
    faults::{Break, ConnectionFault, Fault, FaultPlan, StatementFault},
    login::Login,
    request::Parameter,
    tables::{Database, RowMaker, Rows, Table, TableColumn},
    types::{SqlType, SqlValue},
};

/// How far connections are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all; for clients set to "not supported".
    None,
    /// The login only, when the client asks for no more.
    LoginOnly,
    /// All of it, negotiated inside TDS 7.4.
    On,
    /// TDS 8 from the first byte; clients of 7.4 are still served, as by `On`.
    Strict,
}

/// What a server is started with.
pub struct TdsOptions {
    pub database: Database,
    /// Names and passwords of SQL logins. Nobody else gets in.
    pub users: Vec<(String, String)>,
    /// Access tokens taken in place of a password.
    pub access_tokens: Vec<String>,
    pub encryption: Encryption,
    pub faults: FaultPlan,
    pub bind: SocketAddr,
}

impl TdsOptions {
    /// Encrypted, on a free port of the loopback, with nobody allowed in yet.
    pub fn new(database: Database) -> Self {
        TdsOptions {
            database,
            users: Vec::new(),
            access_tokens: Vec::new(),
            encryption: Encryption::On,
            faults: FaultPlan::default(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }
}

/// What arrived at the server, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum LogEntry {
    Connected {
        connection: u64,
    },
    Login {
        connection: u64,
        login: Login,
    },
    Statement {
        connection: u64,
        sql: String,
        parameters: Vec<Parameter>,
    },
    /// The client cancelled.
    Attention {
        connection: u64,
    },
    Closed {
        connection: u64,
    },
}

/// A running server. Dropping it closes the listener and every connection.
pub struct TdsServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl TdsServer {
    pub async fn start(options: TdsOptions) -> anyhow::Result<TdsServer> {
        let listener =
            TcpListener::bind(options.bind).await.with_context(|| format!("listening on {}", options.bind))?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            users: options.users,
            access_tokens: options.access_tokens,
            encryption: options.encryption,
            tls: tls::Tls::new().context("making certificates")?,
            database: Mutex::new(Arc::new(options.database)),
            faults: Mutex::new(options.faults),
            log: Mutex::new(Vec::new()),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(TdsServer { addr, shared, accepting })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The authority that signed the server's certificate for `localhost` and `127.0.0.1`.
    pub fn ca_pem(&self) -> String {
        self.shared.tls.ca_pem.clone()
    }

    pub fn log(&self) -> Vec<LogEntry> {
        lock(&self.shared.log).clone()
    }

    /// The SQL texts that arrived so far.
    pub fn statements(&self) -> Vec<String> {
        let sql = |entry: &LogEntry| match entry {
            LogEntry::Statement { sql, .. } => Some(sql.clone()),
            _ => None,
        };
        lock(&self.shared.log).iter().filter_map(sql).collect()
    }

    /// Replaces the plan; its counts begin anew.
    pub fn set_faults(&self, faults: FaultPlan) {
        *lock(&self.shared.faults) = faults;
    }

    /// Replaces the data for statements from now on; results on their way keep theirs.
    pub fn set_database(&self, database: Database) {
        *lock(&self.shared.database) = Arc::new(database);
    }
}

impl Drop for TdsServer {
    fn drop(&mut self) {
        // The task owns the listener and the connections.
        self.accepting.abort();
    }
}

/// What all connections of a server see.
struct Shared {
    users: Vec<(String, String)>,
    access_tokens: Vec<String>,
    encryption: Encryption,
    tls: tls::Tls,
    database: Mutex<Arc<Database>>,
    faults: Mutex<FaultPlan>,
    log: Mutex<Vec<LogEntry>>,
}

impl Shared {
    fn database(&self) -> Arc<Database> {
        lock(&self.database).clone()
    }

    fn record(&self, entry: LogEntry) {
        lock(&self.log).push(entry);
    }

    fn connection_fault(&self) -> Option<ConnectionFault> {
        lock(&self.faults).on_connection()
    }

    fn statement_fault(&self, sql: &str) -> Option<StatementFault> {
        lock(&self.faults).on_statement(sql)
    }
}

/// Each guarded value is replaced or appended to in one go, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                // A client that was gone before it was accepted, or no file handles: neither ends the server.
                tracing::debug!(%error, "accepting a TDS connection");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            }
        };
        number += 1;
        let shared = shared.clone();
        connections.spawn(async move {
            shared.record(LogEntry::Connected { connection: number });
            if let Err(error) = connection::serve(tcp, &shared, number).await {
                tracing::debug!(connection = number, error = format!("{error:#}"), "TDS connection ended");
            }
            shared.record(LogEntry::Closed { connection: number });
        });
        while connections.try_join_next().is_some() {}
    }
}
