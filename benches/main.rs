//! What `make bench` measures. README.md in this folder says how to read it.

mod compute;
mod events;
mod ground;
mod grown;
mod growth;
mod land;
mod many;
mod measure;
mod night;
mod publish;
mod query;
mod table;

use std::time::SystemTime;

use criterion::Criterion;
use ground::Ground;

fn main() {
    // Another program than the rest: see `make compare`.
    if let Some(stage) = measure::stage() {
        return measure::run(&stage);
    }
    let began = SystemTime::now();
    let folder = table::folder();
    table::heading();
    let mut criterion = Criterion::default().output_directory(&folder).configure_from_args();
    let ground = Ground::prepare();
    land::json(&mut criterion, &ground);
    land::sql(&mut criterion, &ground);
    compute::compute(&mut criterion, &ground);
    compute::audit(&mut criterion, &ground);
    publish::copy(&mut criterion);
    publish::publish(&mut criterion, &ground);
    night::night(&mut criterion, &ground);
    query::query(&mut criterion, &ground);
    criterion.final_summary();
    if growth::is_asked_for() {
        growth::growth(&ground);
    }
    table::results(&folder, began);
}
