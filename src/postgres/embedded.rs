//! The embedded server: a real PostgreSQL inside this process, with nothing to install and one connection at a time.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use pglite_oxide::PgliteServer;

use crate::config::PostgresSettings;

/// A running embedded server.
pub(super) struct Server {
    server: PgliteServer,
    // Released when the server is dropped.
    _claim: File,
}

impl Server {
    /// Starts the server over the data in `folder`, which need not exist yet; on a free port of the loopback unless an
    /// address is given.
    pub(super) async fn start(folder: &Path, address: Option<SocketAddr>) -> Result<Server> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let claim = claim(folder)?;
        let mut builder = PgliteServer::builder().path(folder);
        if let Some(address) = address {
            builder = builder.tcp(address);
        }
        // It unpacks and starts a whole server: nothing for the thread that runs the others' tasks.
        let started = tokio::task::spawn_blocking(move || builder.start()).await?;
        let server = started.with_context(|| format!("cannot start the embedded Postgres in {}", folder.display()))?;
        Ok(Server { server, _claim: claim })
    }

    pub(super) fn url(&self) -> String {
        self.server.database_url()
    }

    /// Stops the server. Its connection must be closed before.
    pub(super) async fn stop(self) -> Result<()> {
        tokio::task::spawn_blocking(move || self.server.shutdown()).await?.context("stopping the embedded Postgres")
    }
}

/// Serves the embedded server alone, for psql or a BI tool, until `stopped` ends.
pub async fn serve(
    settings: &PostgresSettings,
    address: SocketAddr,
    stopped: impl Future<Output = ()>,
    ready: impl FnOnce(&str),
) -> Result<()> {
    let server = Server::start(&settings.data_dir, Some(address)).await?;
    ready(&server.url());
    stopped.await;
    // A client may still be connected, and the server would wait for it. What it has committed is on disk.
    match tokio::time::timeout(std::time::Duration::from_secs(2), server.stop()).await {
        Ok(stopped) => stopped,
        Err(_) => Ok(()),
    }
}

/// Claims a data folder for this process: two servers over one folder would ruin it.
fn claim(folder: &Path) -> Result<File> {
    let path = folder.with_extension("lock");
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            write!(file, "process {}", std::process::id())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // On some systems a locked file cannot be read; then there is only no name.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.is_empty() { "another process" } else { holder.as_str() };
            bail!(
                "the embedded Postgres in {} is in use by {holder}; wait for it, or set [postgres] url to a server that serves many",
                folder.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
