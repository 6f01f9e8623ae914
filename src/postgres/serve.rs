//! The embedded server alone, on a loopback port, for psql or a BI tool.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio::net::TcpListener;

use super::embedded::Embedded;

/// Serves the embedded database on a loopback address until `stop` is ready; `started` is told the address. Clients are
/// served one after the other: a second one waits.
///
/// # Errors
/// An address that is not loopback is refused, because the embedded server asks nobody for a password.
#[cfg(unix)]
pub async fn serve(
    data_dir: &Path,
    bind: SocketAddr,
    started: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    ensure!(
        bind.ip().is_loopback(),
        "{bind} is not a loopback address, and the embedded postgres asks for no password"
    );
    let listener = TcpListener::bind(bind).await.with_context(|| format!("cannot listen on {bind}"))?;
    let mut embedded = Embedded::start(data_dir).await?;
    started(listener.local_addr().context("the address listened on")?);
    let clients = async {
        loop {
            let (mut client, _) = listener.accept().await.context("accepting a client")?;
            embedded.revive().await?;
            let mut server =
                tokio::net::UnixStream::connect(embedded.socket()).await.context("reaching the embedded postgres")?;
            // A client that breaks off is no reason to stop serving others.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    };
    let ended: Result<()> = tokio::select! {
        ended = clients => ended,
        () = stop => Ok(()),
    };
    ended?;
    embedded.stop().await
}
