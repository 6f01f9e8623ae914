//! PostgreSQL inside the process: one folder, one process, one connection.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use pglite_oxide::PgliteServer;
use sqlx::postgres::PgConnectOptions;

const LOCK_FILE: &str = "marts.lock";

/// A running embedded server, and the lock on its folder.
#[derive(Debug)]
pub(super) struct Embedded {
    server: Option<PgliteServer>,
    data_dir: PathBuf,
    socket: Socket,
    _lock: File,
}

impl Embedded {
    /// Starts the server of a folder, which is made when it is missing.
    pub(super) async fn start(data_dir: &Path) -> Result<Embedded> {
        create_private(data_dir)?;
        let lock = lock(data_dir)?;
        let socket = Socket::new(data_dir)?;
        let mut embedded = Embedded { server: None, data_dir: data_dir.to_owned(), socket, _lock: lock };
        embedded.launch().await?;
        Ok(embedded)
    }

    async fn launch(&mut self) -> Result<()> {
        let builder = PgliteServer::builder().path(&self.data_dir).database("postgres");
        #[cfg(unix)]
        let builder = builder.unix(self.socket.path());
        let server = blocking(move || builder.start())
            .await
            .with_context(|| format!("cannot start the embedded postgres in {}", self.data_dir.display()))?;
        self.server = Some(server);
        Ok(())
    }

    /// Starts the server anew if it is no longer there: its thread ends when a client vanishes in the middle of a
    /// message.
    pub(super) async fn revive(&mut self) -> Result<()> {
        #[cfg(unix)]
        if std::os::unix::net::UnixStream::connect(self.socket.path()).is_err() {
            if let Some(server) = self.server.take() {
                // Whatever ended it was reported to the client that it happened to.
                let _ = blocking(move || server.shutdown()).await;
            }
            self.launch().await?;
        }
        Ok(())
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .username("postgres")
            .database("postgres")
            .ssl_mode(sqlx::postgres::PgSslMode::Disable);
        #[cfg(unix)]
        return options.socket(&self.socket.folder).port(Socket::PORT);
        #[cfg(not(unix))]
        {
            let port = self.server.as_ref().and_then(PgliteServer::tcp_addr).map_or(0, |address| address.port());
            options.host("127.0.0.1").port(port)
        }
    }

    /// Where clients of this process reach the server.
    #[cfg(unix)]
    pub(super) fn socket(&self) -> PathBuf {
        self.socket.path()
    }

    /// For messages.
    pub(super) fn place(&self) -> String {
        self.data_dir.display().to_string()
    }

    /// Has what was committed outlast a power failure. A crash of the program it outlasts anyway; but the server runs
    /// with `fsync` off, because its runtime cannot sync folders, so the host has to do it.
    pub(super) async fn flush(&self) -> Result<()> {
        let folder = self.data_dir.clone();
        blocking(move || sync_folder(&folder)).await
    }

    /// Stops the server; its clients must have gone.
    pub(super) async fn stop(mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            blocking(move || server.shutdown()).await.context("stopping the embedded postgres")?;
        }
        self.flush().await
    }
}

/// Runs what blocks on a thread of its own: one that never ends must not keep the program from ending.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("postgres".to_owned())
        .spawn(move || done.send(work()))
        .context("starting a thread")?;
    result.await.context("the embedded postgres panicked")?
}

fn sync_folder(folder: &Path) -> Result<()> {
    let context = || format!("cannot sync {}", folder.display());
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        let kind = entry.file_type().with_context(context)?;
        if kind.is_dir() {
            sync_folder(&entry.path())?;
        } else if kind.is_file() {
            match File::open(entry.path()).and_then(|file| file.sync_all()) {
                // A running server removes files of its own.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                synced => synced.with_context(|| format!("cannot sync {}", entry.path().display()))?,
            }
        }
    }
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(context)?;
    Ok(())
}

/// The folder of a unix socket that only this user can reach: the server asks nobody for a password. A socket's path may
/// have 107 bytes only, so it lies in the temporary folder when the data folder's own path is long.
#[derive(Debug)]
struct Socket {
    folder: PathBuf,
}

impl Socket {
    const PORT: u16 = 5432;
    const LONGEST: usize = 100;

    fn new(data_dir: &Path) -> Result<Socket> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut socket = Socket { folder: std::path::absolute(data_dir)?.join("socket") };
        if socket.path().as_os_str().len() > Self::LONGEST {
            let stamp = chrono::Utc::now().format("%H%M%S%9f");
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("marts-{}-{count}-{stamp}", std::process::id());
            socket.folder = std::env::temp_dir().join(name);
        }
        create_private(&socket.folder)?;
        Ok(socket)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", Self::PORT))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn create_private(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| format!("cannot create the folder {}", folder.display()))
}

/// Takes the folder for this process. The file says who has it, for whoever comes second; the lock itself ends with the
/// process, however it ends.
fn lock(data_dir: &Path) -> Result<File> {
    let path = data_dir.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.is_empty() { "another process" } else { holder.trim() };
            bail!(
                "the embedded postgres in {} is in use by {holder}; wait for it or stop it (a server set as [postgres] \
                 url takes several at once)",
                data_dir.display()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
    file.set_len(0)
        .and_then(|()| write!(file, "process {} since {now}", std::process::id()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}
