//! A night of all organisations, from what is staged.

use criterion::{Criterion, Throughput};
use marts::jobs::JOBS;
use marts::run::{Request, run};

use crate::ground::{Ground, as_of, clock};

/// Compute, audit and publish, on the embedded server; nothing has changed, as when a night is repeated.
pub fn night(criterion: &mut Criterion, ground: &Ground) {
    let mut group = criterion.benchmark_group("night");
    group.sample_size(10);
    let (scene, now) = (&ground.night, clock());
    let request =
        Request { jobs: JOBS.iter().collect(), as_of: Some(as_of()), from_staging: true, ..Request::default() };
    group.throughput(Throughput::Elements(scene.rows));
    group.bench_function(format!("{} organisations", scene.config.orgs.len()), |bencher| {
        bencher.iter(|| {
            let night = run(&scene.config, &ground.database, &now, &request, &|_| {});
            let report = ground.runtime.block_on(night).expect("a night");
            assert!(report.marts.iter().all(|mart| mart.error.is_none()));
        });
    });
    group.finish();
}
