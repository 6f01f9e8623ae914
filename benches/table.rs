//! What was measured, as one table: the machine, the versions, and a line for each figure.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use comfy_table::{CellAlignment, Table, presets};
use marts::cli::output::print;
use rust_decimal::Decimal;
use serde_json::Value;

/// Where criterion keeps its figures: beside what cargo builds.
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("CRITERION_HOME") {
        return folder.into();
    }
    // target/release/deps/main-…
    let program = std::env::current_exe().expect("a program");
    program.ancestors().nth(3).unwrap_or(&program).join("criterion")
}

/// Says where it is measured.
pub fn heading() {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    let checks = if cfg!(debug_assertions) { "with" } else { "without" };
    let duckdb = duckdb::Connection::open_in_memory().and_then(|connection| connection.version()).unwrap_or_default();
    tell(&format!(
        "marts {} {checks} debug assertions, DuckDB {duckdb}, {} on {cores} cores, {model}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
    ));
}

/// Lists the figures that were taken since `began`; nothing when none was.
pub fn results(folder: &Path, began: SystemTime) {
    let mut figures = Vec::new();
    collect(folder, began, &mut figures);
    if figures.is_empty() {
        return;
    }
    figures.sort();
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(["measured", "time", "rows/s", "MiB/s"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.add_rows(figures.into_iter().map(|(_, row)| row));
    heading();
    tell(&format!("{table}\n"));
}

/// A name that sorts by size, and the cells.
type Figure = ((String, usize, String), [String; 4]);

fn collect(folder: &Path, began: SystemTime, figures: &mut Vec<Figure>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with("new") {
            figures.extend(figure(&path, began));
        } else if path.is_dir() {
            collect(&path, began, figures);
        }
    }
}

fn figure(folder: &Path, began: SystemTime) -> Option<Figure> {
    let file = folder.join("estimates.json");
    if fs::metadata(&file).ok()?.modified().ok()? < began {
        return None;
    }
    let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).ok()?).ok();
    let id = read(&folder.join("benchmark.json"))?;
    let nanoseconds: Decimal = read(&file)?["median"]["point_estimate"].to_string().parse().ok()?;
    let name = id["full_id"].as_str()?.to_owned();
    let per_second = |count: &Value| {
        let count: Decimal = count.to_string().parse().ok()?;
        (count * Decimal::from(1_000_000_000)).checked_div(nanoseconds)
    };
    let throughput = &id["throughput"];
    let both = &throughput["ElementsAndBytes"];
    let rows = per_second(&both["elements"]).or_else(|| per_second(&throughput["Elements"]));
    let bytes = per_second(&both["bytes"]).or_else(|| per_second(&throughput["Bytes"]));
    let shown =
        |value: Option<Decimal>, decimals| value.map_or(String::new(), |value| value.round_dp(decimals).to_string());
    let (group, rest) = name.rsplit_once('/').unwrap_or((&name, ""));
    let key = (group.to_owned(), rest.len(), rest.to_owned());
    let cells = [
        name.clone(),
        format!("{} ms", (nanoseconds / Decimal::from(1_000_000)).round_dp(2)),
        shown(rows, 0),
        shown(bytes.map(|bytes| bytes / Decimal::from(1 << 20)), 1),
    ];
    Some((key, cells))
}

fn tell(text: &str) {
    print(text).expect("stdout is there");
}
