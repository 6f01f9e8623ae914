//! What an analyst asks of the landing zone: what `marts query` does before it prints the answer. The checksums of all that is
//! staged are part of it.

use criterion::{BenchmarkId, Criterion, Throughput};
use marts::compute;

use crate::ground::Ground;

/// Over all invoices, over many customers, over the days with what came before, and for one row.
const QUESTIONS: [(&str, &str); 4] = [
    ("months", "select org, period, count(*), sum(grand_total) from softbase_invoices group by all order by all"),
    (
        "customers",
        "select bill_to, count(*), sum(grand_total - total_tax) as revenue from softbase_invoices
         where deleted_date is null group by bill_to order by revenue desc limit 20",
    ),
    (
        "days",
        "select invoice_date, sum(grand_total) as amount, sum(amount) over (order by invoice_date) as so_far
         from softbase_invoices group by invoice_date order by invoice_date",
    ),
    ("invoice", "from softbase_invoices where invoice_no = (select max(invoice_no) from softbase_invoices)"),
];

/// Each question at each size.
pub fn query(criterion: &mut Criterion, ground: &Ground) {
    let mut group = criterion.benchmark_group("query");
    group.sample_size(10);
    for scene in &ground.bulks {
        let (elements, bytes) = scene.tasks[0].size();
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        for (name, question) in QUESTIONS {
            group.bench_function(BenchmarkId::new(name, elements), |bencher| {
                bencher.iter(|| {
                    let answer = compute::query(&scene.config, question).expect("it is answered");
                    assert!(answer.batches.iter().any(|batch| batch.num_rows() > 0), "{name} finds nothing");
                });
            });
        }
    }
    group.finish();
}
