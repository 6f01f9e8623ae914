//! How a night grows: with organisations, with rows, with the history that is published. One measurement a point, since a
//! point may take minutes; drawn as SVG into the folder that `MARTS_BENCH_PLOTS` names.

#![expect(clippy::float_arithmetic, reason = "seconds, and where to draw them")]

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use marts::cli::output::print;
use marts::config::Config;
use marts::jobs::{JOBS, Job, job};
use marts::postgres::Database;
use marts::run::{Request, run};
use plotters::prelude::*;

use crate::ground::{Ground, as_of, clock, sizes};
use crate::{many, publish};

/// A curve: what grows, what is measured, and seconds by size.
struct Curve {
    name: &'static str,
    title: &'static str,
    along: &'static str,
    points: Vec<(u64, f64)>,
}

/// Where everything is measured, or growth by name; not where the benchmarks are only tried.
pub fn is_asked_for() -> bool {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut names = words.iter().filter(|word| !word.starts_with('-'));
    !words.iter().any(|word| word == "--test" || word == "--list") && names.next().is_none_or(|name| name == "growth")
}

/// Measures, prints the points and draws them.
pub fn growth(ground: &Ground) {
    let folder = std::env::var_os("MARTS_BENCH_PLOTS").map(PathBuf::from);
    for curve in [organisations(ground), rows(ground), history(ground)] {
        let text: String =
            curve.points.iter().map(|(size, seconds)| format!("{size:>12} {seconds:>10.2} s\n")).collect();
        print(&format!("{} by {}\n{text}\n", curve.title, curve.along)).expect("stdout is there");
        if let Some(folder) = &folder {
            fs::create_dir_all(folder).expect("a folder");
            draw(&curve, &folder.join(format!("growth-{}.svg", curve.name)));
        }
    }
}

/// The numbers of organisations: ten times more each time, with three times between, up to `MARTS_BENCH_ORGS`.
fn counts() -> Vec<u64> {
    let most = std::env::var("MARTS_BENCH_ORGS").map_or(30, |text| text.parse().expect("a number of organisations"));
    [1, 3, 10, 30, 100, 300, 1_000, 3_000].into_iter().filter(|count| *count <= most).collect()
}

/// A night of all nine marts of so many organisations, from staging, into a PostgreSQL in which none of it is published yet.
fn organisations(ground: &Ground) -> Curve {
    let points = counts().into_iter().map(|count| {
        let size = usize::try_from(count).expect("so many organisations");
        let config = many::organisations(&ground.night, size);
        (count, ground.runtime.block_on(night(&config, &JOBS.iter().collect::<Vec<_>>())))
    });
    let title = "A night of nine marts each, from staging";
    Curve { name: "organisations", title, along: "organisations", points: points.collect() }
}

/// A night of one mart whose last month has so many invoices.
fn rows(ground: &Ground) -> Curve {
    let sales = job("etl_sales_daily").expect("the job");
    let points = ground.bulks.iter().map(|scene| (scene.rows, ground.runtime.block_on(night(&scene.config, &[sales]))));
    Curve {
        name: "rows",
        title: "A night of mart_sales_daily, from staging",
        along: "invoices",
        points: points.collect(),
    }
}

/// Publishing 45 changed days where so many days are published already.
fn history(ground: &Ground) -> Curve {
    let points = sizes().into_iter().map(|days| (days, publish::beside(ground, days)));
    let title = "Publishing 45 changed days beside those published";
    Curve { name: "history", title, along: "days published", points: points.collect() }
}

/// Seconds that a night from staging takes, of organisations that have nothing published.
async fn night(config: &Config, jobs: &[&'static Job]) -> f64 {
    let place = publish::Place::make().await;
    let database = Database::connect(&place.settings, "bench").await.expect("a database");
    database.migrate().await.expect("it migrates");
    let request = Request { jobs: jobs.to_vec(), as_of: Some(as_of()), from_staging: true, ..Request::default() };
    let began = Instant::now();
    let report = run(config, &database, &clock(), &request, &|_| {}).await.expect("a night");
    let seconds = began.elapsed().as_secs_f64();
    for mart in &report.marts {
        assert!(mart.error.is_none(), "{}/{}: {:?}", mart.job, mart.org, mart.error);
        assert!(mart.inserted > 0, "{}/{} published nothing", mart.job, mart.org);
    }
    database.close().await.expect("it closes");
    place.remove().await;
    seconds
}

/// On two logarithmic axes: what grows as fast as its size is a line of slope one, drawn beside it from the last point.
fn draw(curve: &Curve, path: &std::path::Path) {
    let Curve { title, along, points, .. } = curve;
    let (Some((first, _)), Some((last, slowest))) = (points.first(), points.last()) else { return };
    let least = points.iter().map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
    let root = SVGBackend::new(path, (640, 420)).into_drawing_area();
    root.fill(&WHITE).expect("it is drawn");
    let (left, right) = (*first as f64, *last as f64);
    // From a power of ten to one, so that there is something to read on the axis.
    let floor = 10_f64.powf((slowest * left / right).min(least).log10().floor());
    let ceiling = 10_f64.powf(slowest.log10().ceil());
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((left..right * 1.1).log_scale(), (floor..ceiling).log_scale())
        .expect("a chart");
    let plain = |value: &f64| value.to_string();
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(*along).y_desc("seconds").x_label_formatter(&plain).y_label_formatter(&plain);
    mesh.draw().expect("it is drawn");
    let proportional = [(left, slowest * left / right), (right, *slowest)];
    chart.draw_series(LineSeries::new(proportional, &BLACK.mix(0.3))).expect("it is drawn");
    let line = points.iter().map(|(size, seconds)| (*size as f64, *seconds));
    chart.draw_series(LineSeries::new(line.clone(), BLUE.stroke_width(2))).expect("it is drawn");
    chart.draw_series(line.map(|point| Circle::new(point, 3, BLUE.filled()))).expect("it is drawn");
    root.present().expect("it is written");
}
