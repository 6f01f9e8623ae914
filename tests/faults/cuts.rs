//! The line to PostgreSQL cut where it hurts, and the server taken away in the middle of a night.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::ground::{Ground, Size, figure, number, say, server};
use super::proxy::{Cut, Proxy};
use super::reader::Readers;
use super::trial::Nights;

#[tokio::test(flavor = "multi_thread")]
async fn a_line_to_postgres_that_is_cut_costs_a_night_at_most() {
    let Some(url) = server("the cut lines") else { return };
    let ground = Ground::start(Some(url.clone()), &[7, 8], Size::Small).await;
    let nights = Nights::undisturbed(&ground, "undisturbed").await;
    let readers = Readers::begin(&ground).await;
    let parsed = url::Url::parse(&url).unwrap();
    let (host, port) = (parsed.host_str().unwrap(), parsed.port().unwrap_or(5432));
    let server = tokio::net::lookup_host((host, port)).await.unwrap().next().unwrap();
    let seed = number("MARTS_KILL_SEED", 20_260_120);
    let mut die = ChaCha8Rng::seed_from_u64(seed);

    let mut cuts = vec![Cut::DuringCopy(1), Cut::DuringCopy(3), Cut::BeforeCommit, Cut::AfterCommit];
    // A night that is not cut tells how many bytes there are to choose from.
    let whole = Proxy::start(server, Cut::AtByte(u64::MAX)).await;
    ground.reroute(whole.address.port());
    ground.run(1);
    ground.reroute(port);
    cuts.extend((0..number("MARTS_CUTS", 4)).map(|_| Cut::AtByte(die.random_range(0..whole.bytes()))));
    let mut counts = [0; 3];
    for (at, cut) in cuts.into_iter().enumerate() {
        let target = at % 2;
        let context = format!("seed {seed}, {cut:?}");
        let proxy = Proxy::start(server, cut).await;
        let disturb = || {
            ground.reroute(proxy.address.port());
            let done = ground.night(target);
            ground.reroute(port);
            done
        };
        let (said, code) = nights.disturbed(&ground, target, &context, disturb).await;
        let is_byte = matches!(cut, Cut::AtByte(_));
        assert!(is_byte || proxy.cuts() == 1, "{context}: the night never came to it");
        counts[if is_byte { 2 } else { usize::from(cut == Cut::AfterCommit || cut == Cut::BeforeCommit) }] +=
            proxy.cuts();
        match cut {
            // Everything was published, and is said to be.
            Cut::AfterCommit => assert_eq!(code, Some(0), "{context}: {said}"),
            Cut::DuringCopy(_) | Cut::BeforeCommit => {
                assert_eq!(code, Some(3), "{context}: one organisation failed, the others did not: {said}");
                assert!(said.contains("publishing"), "{context}: {said}");
            }
            Cut::AtByte(_) => assert!([Some(0), Some(1), Some(3)].contains(&code), "{context}: {code:?} {said}"),
        }
    }
    ground.ledger_tells_the_marts("after the cuts").await;
    let looks = readers.end(&nights, "the cut lines").await;
    let [copies, commits, bytes] = counts;
    figure("lines to postgres cut during COPY", copies);
    figure("lines to postgres cut before COMMIT arrived, and after it before its answer", commits);
    figure("lines to postgres cut at a seeded byte", bytes);
    figure("looks of readers during the cuts, each a whole night", looks);
}

/// A server of the test's own, which it may stop; ends with it.
struct OwnServer {
    child: Child,
    url: String,
    restart: String,
}

impl OwnServer {
    /// None where no server is installed.
    fn start() -> Option<OwnServer> {
        let script = "echo \"$MARTS_TEST_POSTGRES_URL\"; echo \"$MARTS_TEST_POSTGRES_RESTART\"; read -r _ || true";
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/with-postgres.sh"))
            .args(["bash", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().and_then(Result::ok);
        match line().zip(line()) {
            Some((url, restart)) => Some(OwnServer { child, url, restart }),
            None => {
                child.wait().unwrap();
                None
            }
        }
    }

    /// Stops it as a crash would, and starts it again.
    fn restart(&self) {
        assert!(Command::new("bash").args(["-c", &self.restart]).stdout(Stdio::null()).status().unwrap().success());
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // Its input ends, and with it the script, which cleans up.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_in_the_night_costs_a_night_at_most() {
    let Some(server) = OwnServer::start() else {
        say("the restarts: skipped, no PostgreSQL server is installed");
        return;
    };
    let ground = Ground::start(Some(server.url.clone()), &[7, 8], Size::Small).await;
    let nights = Nights::undisturbed(&ground, "undisturbed").await;
    let seed = number("MARTS_KILL_SEED", 20_260_120);
    let mut die = ChaCha8Rng::seed_from_u64(seed);
    let began = std::time::Instant::now();
    ground.run(0);
    let length = began.elapsed();
    let restarts = number("MARTS_RESTARTS", 3);
    for at in 0..restarts {
        let target = 1 - (at % 2) as usize;
        let delay = die.random_range(Duration::ZERO..length);
        let context = format!("seed {seed}, restart {at} after {delay:?}");
        let disturb = || {
            let mut run = ground
                .command(target, &ground.arguments(&[]))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(delay);
            server.restart();
            run.wait().unwrap().code()
        };
        let code = nights.disturbed(&ground, target, &context, || tokio::task::block_in_place(disturb)).await;
        assert!([Some(0), Some(1), Some(3)].contains(&code), "{context}: {code:?}");
    }
    ground.ledger_tells_the_marts("after the restarts").await;
    figure("restarts of postgres during a night", restarts);
    drop(ground);
}
