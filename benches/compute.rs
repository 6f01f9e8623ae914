//! Computing and auditing: from the landing zone to a mart's rows.

use criterion::{BenchmarkId, Criterion, Throughput};
use marts::audit;
use marts::compute::{Compute, Inputs};

use crate::ground::{Ground, Scene, Task, size, sizes};
use crate::grown::grown;

/// Every mart of the night, and sales at each size.
fn tasks(ground: &Ground) -> impl Iterator<Item = (&Scene, &Task)> {
    let scenes = std::iter::once(&ground.night).chain(&ground.bulks);
    scenes.flat_map(|scene| scene.tasks.iter().map(move |task| (scene, task)))
}

/// Opening DuckDB over the pulls and running the mart's SQL: every mart of the night, and each of them at each size.
pub fn compute(criterion: &mut Criterion, ground: &Ground) {
    let mut group = criterion.benchmark_group("compute");
    group.sample_size(10);
    for (scene, task) in tasks(ground) {
        let (elements, bytes) = task.size();
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        group.bench_function(BenchmarkId::new(task.plan.job.mart, elements), |bencher| {
            bencher.iter(|| {
                let compute = Compute::open(&scene.inputs(task)).expect("it opens");
                compute.compute().expect("it computes")
            });
        });
    }
    let scene = &ground.night;
    for task in scene.tasks.iter().filter(|task| task.plan.job.name != "etl_sales_daily") {
        for grown in sizes().into_iter().filter_map(|rows| grown(scene, task, rows)) {
            let (elements, bytes) = size(grown.pulls.all());
            group.throughput(Throughput::ElementsAndBytes { elements, bytes });
            group.bench_function(BenchmarkId::new(task.plan.job.mart, elements), |bencher| {
                bencher.iter(|| {
                    let inputs = Inputs { pulls: &grown.pulls, ..scene.inputs(task) };
                    Compute::open(&inputs).expect("it opens").compute().expect("it computes")
                });
            });
        }
    }
    group.finish();
}

/// The checks of a computed mart, against the same rows as published.
pub fn audit(criterion: &mut Criterion, ground: &Ground) {
    let mut group = criterion.benchmark_group("audit");
    group.sample_size(10);
    for (scene, task) in tasks(ground) {
        let compute = Compute::open(&scene.inputs(task)).expect("it opens");
        let published = compute.compute().expect("it computes");
        let (elements, bytes) = task.size();
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        group.bench_function(BenchmarkId::new(task.plan.job.mart, elements), |bencher| {
            bencher.iter(|| audit::audit(&compute, &published).expect("it is audited"));
        });
    }
    group.finish();
}
