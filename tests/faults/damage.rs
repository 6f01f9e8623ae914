//! Staged files that are damaged: each is noticed, named, and the next night makes up for it.

use std::fs;
use std::path::{Path, PathBuf};

use marts::staging::Staging;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::ground::{Ground, SERVER, Size, figure, number};
use super::trial::Nights;

/// The files that a night computed from staging reads: all of the pulls that the last run lists, where they win.
async fn read_by_a_night(ground: &Ground) -> Vec<PathBuf> {
    let listed = "select slug, pull->>'dataset', pull->>'period' from etl_runs join organizations o on o.id = org_id,
         jsonb_array_elements(detail->'pulls') pull
         where run_id = (select run_id from etl_runs order by started_at desc limit 1) group by 1, 2, 3 order by 1, 2, 3";
    let mut found = Vec::new();
    for row in ground.ask(&[listed]).await.swap_remove(0) {
        let [org, dataset, period] = row.as_slice() else { panic!("three columns") };
        let dataset = marts::datasets::dataset(dataset).unwrap();
        let winner =
            Staging::new(ground.staging()).newest(dataset, org, period.parse().unwrap(), None).unwrap().unwrap();
        found.extend(crate::night::stage::files(&winner));
    }
    found
}

/// One way in which a disk, a copy or a person damages a file.
fn damage(file: &Path, die: &mut ChaCha8Rng) -> &'static str {
    let mut bytes = fs::read(file).unwrap();
    let at = die.random_range(0..bytes.len());
    let how = match die.random_range(0..5) {
        0 => {
            bytes[at] ^= 1 << die.random_range(0..8);
            "a bit flipped"
        }
        1 => {
            bytes.truncate(at);
            "cut short"
        }
        2 => {
            // A block that was never written.
            let end = bytes.len().min(at + 64);
            if bytes[at..end].iter().all(|byte| *byte == 0) {
                bytes[at] = 1;
            } else {
                bytes[at..end].fill(0);
            }
            "zeros within"
        }
        3 => {
            bytes.push(b'0');
            "a byte too long"
        }
        _ => {
            fs::remove_file(file).unwrap();
            return "gone";
        }
    };
    fs::write(file, bytes).unwrap();
    how
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_that_is_damaged_is_named_and_the_next_night_makes_up_for_it() {
    let ground = Ground::start(std::env::var(SERVER).ok(), &[7], Size::Small).await;
    ground.run(0);
    let context = "undisturbed";
    let before = ground.look_after_a_good_night(0, context).await;
    let seed = number("MARTS_KILL_SEED", 20_260_120);
    let mut die = ChaCha8Rng::seed_from_u64(seed);
    let from_staging = ground.arguments(&["--from-staging"]);
    ground.ends(0, &from_staging, 0);
    let times = number("MARTS_DAMAGES", 6);
    let (mut manifests, mut at) = (0, 0);
    while at < times {
        let files = read_by_a_night(&ground).await;
        let file = &files[die.random_range(0..files.len())];
        let is_manifest = file.ends_with("pull.json");
        let whole = fs::read(file).unwrap();
        let how = damage(file, &mut die);
        let context = format!("seed {seed}, damage {at}: {} of {}, {how}", file.display(), whole.len());
        let output = ground.marts(0, &from_staging);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!([Some(1), Some(3)].contains(&output.status.code()), "{context}: {said}");
        let name = file.strip_prefix(ground.folder.path()).unwrap().to_str().unwrap();
        assert!(said.contains(name), "{context}: the file is named: {said}");
        assert_eq!(ground.look(0).await.marts, before.marts, "{context}: nothing of it was published");
        // The next night pulls it anew, or says which snapshot is lost.
        let (said, code) = ground.night(0);
        assert_eq!(code, Some(0), "{context}: the next run: {said}");
        let look = ground.look_after_a_good_night(0, &context).await;
        assert_eq!((look.marts, look.changes), (before.marts.clone(), before.changes.clone()), "{context}");
        // A night from staging is whole again.
        ground.ends(0, &from_staging, 0);
        manifests += u64::from(is_manifest);
        at += 1;
    }
    figure("damaged staged files, each named", format!("{times} ({manifests} of them manifests)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind_that_a_clean_up_does_not_take() {
    let ground = Ground::start(std::env::var(SERVER).ok(), &[7, 8], Size::Small).await;
    let nights = Nights::undisturbed(&ground, "undisturbed").await;
    let zone = Staging::new(ground.staging());
    // What a process that was killed leaves behind.
    let partition = zone.inventory(marts::datasets::DATASETS[0]).unwrap()[0].path.parent().unwrap().to_owned();
    fs::create_dir(partition.join(".tmp-999999-0")).unwrap();
    fs::write(partition.join(".tmp-999999-0/rows-0000.parquet"), "PAR1").unwrap();
    ground.ends(1, &["staging", "gc", "--keep", "0d"], 0);
    assert!(zone.leftovers().unwrap().is_empty());
    for dataset in marts::datasets::DATASETS {
        for entry in zone.inventory(dataset).unwrap() {
            assert!(entry.wins, "what nothing rests on is gone: {}", entry.path.display());
        }
    }
    ground.ends(1, &ground.arguments(&["--from-staging"]), 0);
    assert_eq!(ground.look(0).await.marts, nights.0[1].marts);
}
