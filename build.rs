//! Lets the binary find the libduckdb it was linked with, and notices new migrations.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    // The migrations are compiled in; cargo sees a changed file, but not a new one.
    println!("cargo:rerun-if-changed=migrations");
    if env::var_os("CARGO_FEATURE_BUNDLED").is_some() {
        return;
    }
    let Ok(folder) = env::var("DUCKDB_LIB_DIR") else { return };
    let names = ["libduckdb.so", "libduckdb.dylib", "duckdb.lib"];
    println!("cargo:rerun-if-changed={folder}");
    if names.iter().any(|name| Path::new(&folder).join(name).exists()) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    } else {
        println!("cargo::error=run `make setup` first: there is no libduckdb in {folder}");
    }
}
