//! Nights that are killed (SIGKILL) at seeded points of their course, each followed by one that must make up for it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::freshness;
use super::ground::{Ground, SERVER, Size, figure, number};
use super::reader::Readers;
use super::trial::Nights;

/// What a night is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Landing,
    Computing,
    Publishing,
}

const STAGES: [Stage; 3] = [Stage::Landing, Stage::Computing, Stage::Publishing];

/// The time after the n-th thing that a night told, and what the night does then.
#[derive(Debug, Clone, Copy)]
struct Gap {
    after: usize,
    stage: Stage,
    length: Duration,
}

/// Lets a night run and reads what it tells, as it tells it; kills it so long after so many lines where that is asked.
/// Returns when each line came, the lines, and whether the night was killed before it had ended.
fn watch(ground: &Ground, which: usize, kill: Option<(usize, Duration)>) -> (Vec<(Duration, Value)>, bool) {
    let mut command = ground.command(which, &ground.arguments(&[]));
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    if let Some((0, delay)) = kill {
        std::thread::sleep(delay);
        child.kill().unwrap();
    }
    for line in lines {
        // The last line of one that is killed may be cut.
        let Ok(event) = serde_json::from_str(&line.unwrap()) else { continue };
        told.push((began.elapsed(), event));
        if let Some((after, delay)) = kill
            && after == told.len()
        {
            std::thread::sleep(delay);
            child.kill().unwrap();
        }
    }
    let killed = child.wait().unwrap().code().is_none();
    (told, killed)
}

/// The course of an undisturbed night.
fn course(told: &[(Duration, Value)]) -> Vec<Gap> {
    let name = |at: usize| told.get(at).map_or("", |(_, event)| event["event"].as_str().unwrap());
    let org =
        |at: usize| told[at].1["org"].as_str().or(told[at].1["mart"]["org"].as_str()).unwrap_or_default().to_owned();
    let mut gaps = vec![Gap { after: 0, stage: Stage::Landing, length: told[0].0 }];
    for at in 0..told.len() - 1 {
        let stage = match (name(at), name(at + 1)) {
            // The last mart of an organisation is computed: then all are published, and told to be done.
            ("computed", "done") | ("done", "done" | "finished") => Stage::Publishing,
            (_, "computed") => Stage::Computing,
            ("computed" | "done" | "pulled" | "staged" | "started", _) => Stage::Landing,
            (event, next) => panic!("{event} of {}, then {next}", org(at)),
        };
        gaps.push(Gap { after: at + 1, stage, length: told[at + 1].0 - told[at].0 });
    }
    gaps
}

/// Draws a point of a stage: any instant of it is as likely as any other.
fn draw(gaps: &[Gap], stage: Stage, die: &mut ChaCha8Rng) -> (usize, Duration) {
    let of_stage: Vec<_> = gaps.iter().filter(|gap| gap.stage == stage).collect();
    let total: Duration = of_stage.iter().map(|gap| gap.length).sum();
    let mut left = die.random_range(Duration::ZERO..total);
    for gap in &of_stage {
        if left < gap.length {
            return (gap.after, left);
        }
        left -= gap.length;
    }
    (of_stage[0].after, Duration::ZERO)
}

/// How many kills there were in each stage, and what readers did meanwhile.
#[derive(Debug, Default)]
struct Tally {
    stages: [u64; 3],
    /// Kills after which some organisations had the new night and others the old one.
    in_between: u64,
    /// Kills after which all had the new night.
    all_new: u64,
    looks: u64,
}

/// Kills so many nights, one after the other, on a ground of its own.
async fn lane(ground: Ground, seed: u64, stages: Vec<Stage>) -> Tally {
    let context = format!("MARTS_KILL_SEED={seed}");
    let mut die = ChaCha8Rng::seed_from_u64(seed);

    let nights = Nights::undisturbed(&ground, &context).await;
    let mut courses = Vec::new();
    for which in [0, 1] {
        let (told, _) = tokio::task::block_in_place(|| watch(&ground, which, None));
        courses.push(course(&told));
    }
    let mut since = ground.look(0).await.newest_change;
    let readers = if ground.is_embedded() { None } else { Some(Readers::begin(&ground).await) };

    let mut tally = Tally::default();
    let mut number = 0;
    let mut is = 1;
    while number < stages.len() {
        let target = 1 - is;
        let new = &nights.0[target];
        let stage = stages[number];
        let (after, delay) = draw(&courses[target], stage, &mut die);
        let context = format!("{context}, point {number}: {delay:?} after line {after}, {stage:?}");
        let (told, killed) = tokio::task::block_in_place(|| watch(&ground, target, Some((after, delay))));
        let found = ground.look(since).await;
        nights.must_have(&found, &context);
        freshness::agrees_with_the_ledgers(&ground, target, &context).await;
        if killed {
            let fresh = found.marts.iter().zip(&new.marts).filter(|(found, new)| found == new).count();
            tally.all_new += u64::from(fresh == new.marts.len());
            tally.in_between += u64::from(fresh > 0 && fresh < new.marts.len());
            // Where it was when it died, rather than where it was meant to be.
            let died_in = courses[target].iter().find(|gap| gap.after == told.len()).map_or(stage, |gap| gap.stage);
            tally.stages[died_in as usize] += 1;
            number += 1;
        }
        let (said, code) = ground.night(target);
        assert_eq!(code, Some(0), "{context}: the next run: {said}");
        let look = ground.look_after_a_good_night(since, &context).await;
        assert_eq!(look.marts, new.marts, "{context}: the marts of an undisturbed night");
        assert_eq!(look.changes, new.changes, "{context}: each change is in the ledger once");
        freshness::agrees_with_the_ledgers(&ground, target, &context).await;
        since = look.newest_change;
        is = target;
    }
    ground.ledger_tells_the_marts(&context).await;
    if let Some(readers) = readers {
        tally.looks = readers.end(&nights, &context).await;
    }
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_killed_at_any_point_is_made_up_for_by_the_next() {
    let url = std::env::var(SERVER).ok();
    let server = if url.is_some() { "a server" } else { "the embedded server" };
    let points = number("MARTS_KILL_POINTS", if url.is_some() { 9 } else { 3 });
    let lanes = number("MARTS_KILL_LANES", 2).min(points);
    let seed = number("MARTS_KILL_SEED", 20_260_120);
    let began = Instant::now();
    let mut running = Vec::new();
    for at in 0..lanes {
        let ground = Ground::start(url.clone(), &[7, 8], Size::Whole).await;
        // A third of all points each, whoever takes them.
        let stages = (at..points).step_by(lanes as usize).map(|point| STAGES[(point % 3) as usize]);
        running.push(tokio::spawn(lane(ground, seed + at, stages.collect())));
    }
    let mut all = Tally::default();
    for lane in running {
        let tally = lane.await.unwrap();
        for (sum, count) in all.stages.iter_mut().zip(tally.stages) {
            *sum += count;
        }
        all.in_between += tally.in_between;
        all.all_new += tally.all_new;
        all.looks += tally.looks;
    }
    let [landing, computing, publishing] = all.stages;
    let survived = landing + computing + publishing;
    assert_eq!(survived, points);
    // On a machine that is busy with other things a night may be elsewhere by the time it is killed.
    assert!(points < 30 || all.stages.iter().all(|count| *count > 0), "every stage was hit: {all:?}");
    figure(
        &format!("kill points survived, on {server}"),
        format!(
            "{survived} (landing {landing}, computing {computing}, publishing {publishing}; after {} of them some organisations \
             had the new night already, after {} all) in {} s, seed {seed}",
            all.in_between,
            all.all_new,
            began.elapsed().as_secs()
        ),
    );
    if url.is_some() {
        figure("looks of readers during the kills, each a whole night", all.looks);
    }
}
