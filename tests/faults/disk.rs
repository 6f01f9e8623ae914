//! A disk that is full while a night lands.

use std::path::{Path, PathBuf};
use std::process::Command;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::ground::{Ground, SERVER, Size, figure, number, say};
use super::trial::Nights;
use crate::night::stage::files;

/// A small disk of its own where the landing zone is.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where one may not mount.
    fn mount(place: &Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(place).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256m", "tmpfs"]).arg(place).output();
        mounted.is_ok_and(|done| done.status.success()).then(|| SmallDisk(place.to_owned()))
    }

    fn resize(&self, bytes: u64) {
        let size = format!("remount,size={bytes}");
        assert!(Command::new("mount").args(["-o", &size]).arg(&self.0).status().unwrap().success());
    }

    /// Bytes taken, in whole pages, as the disk counts.
    fn used(&self) -> u64 {
        let pages = files(&self.0).iter().map(|file| file.metadata().unwrap().len().div_ceil(4096)).sum::<u64>();
        pages * 4096
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// That a night failed for want of room, and said so: which file, and the system's words.
fn must_say(said: &str, code: Option<i32>, words: &str, context: &str) {
    assert!([Some(1), Some(3)].contains(&code), "{context}: {code:?} {said}");
    let report: serde_json::Value =
        serde_json::from_str(said.lines().find(|line| line.contains("\"finished\"")).unwrap_or("null")).unwrap();
    let marts = report["report"]["marts"].as_array().unwrap_or_else(|| panic!("{context}: {said}"));
    let errors: Vec<_> = marts.iter().filter(|mart| mart["status"] == "failed").collect();
    assert!(!errors.is_empty(), "{context}: {said}");
    for mart in errors {
        let error = mart["error"].as_str().unwrap();
        assert!(error.contains(words) && error.contains("staging") && !error.contains('\n'), "{context}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_while_landing_costs_a_night_at_most() {
    let ground = Ground::start(std::env::var(SERVER).ok(), &[7, 8], Size::Small).await;
    let Some(disk) = SmallDisk::mount(&ground.staging()) else {
        say("the small disk: skipped, one may not mount here; the quota is tried instead");
        return;
    };
    let nights = Nights::undisturbed(&ground, "undisturbed").await;
    let before = disk.used();
    ground.run(1);
    let of_a_night = disk.used() - before;
    let seed = number("MARTS_KILL_SEED", 20_260_120);
    let mut die = ChaCha8Rng::seed_from_u64(seed);
    let times = number("MARTS_FULL_DISKS", 2);
    for at in 0..times {
        let target = (at % 2) as usize;
        let room = die.random_range(0..of_a_night * 9 / 10);
        let context = format!("seed {seed}, room for {room} bytes of {of_a_night}");
        disk.resize(disk.used() + room);
        let disturb = || {
            let done = ground.night(target);
            disk.resize(256 << 20);
            done
        };
        let (said, code) = nights.disturbed(&ground, target, &context, disturb).await;
        must_say(&said, code, "No space left on device", &context);
    }
    ground.ledger_tells_the_marts("after the full disks").await;
    figure("full disks while landing", times);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_ends_while_landing_costs_a_night_at_most() {
    if std::env::var(SERVER).is_err() {
        say("the quota: skipped, it would end the embedded server's own files too");
        return;
    }
    let ground = Ground::start(std::env::var(SERVER).ok(), &[7, 8], Size::Small).await;
    let nights = Nights::undisturbed(&ground, "undisturbed").await;
    // The largest file of a night does not fit: in KiB, and without the signal that would end the process.
    let largest = files(&ground.staging()).iter().map(|file| file.metadata().unwrap().len()).max().unwrap();
    let quota = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", largest / 1024 - 1);
    let disturb = || {
        let marts = ground.command(0, &ground.arguments(&[]));
        let mut command = Command::new("bash");
        command.args(["-c", &quota]).arg(marts.get_program()).args(marts.get_args());
        command.envs(marts.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = tokio::task::block_in_place(|| command.output().unwrap());
        (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.code())
    };
    let (said, code) = nights.disturbed(&ground, 0, "a quota", disturb).await;
    must_say(&said, code, "File too large", "a quota");
    figure("quotas that ended while landing", 1);
}
