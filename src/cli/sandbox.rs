//! `marts sandbox`: the source systems, simulated.

use std::path::PathBuf;

use clap::Args;

/// Serve the simulated source systems on loopback ports until interrupted, and print a configuration for them
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts sandbox --write sandbox.toml &\n  marts --config sandbox.toml run")]
pub struct SandboxArgs {
    /// Which invented business to serve: the same seed, the same figures
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Write the configuration to this file instead of stdout
    #[arg(long, value_name = "PATH")]
    pub write: Option<PathBuf>,
}
