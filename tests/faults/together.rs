//! Two nights at once, as two schedulers start them.

use std::process::Stdio;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::ground::{Ground, Size, figure, number, server};
use super::reader::Readers;
use super::trial::Nights;

#[tokio::test(flavor = "multi_thread")]
async fn two_nights_at_once_do_no_harm() {
    let Some(url) = server("two nights at once") else { return };
    let ground = Ground::start(Some(url), &[7, 8], Size::Small).await;
    let nights = Nights::undisturbed(&ground, "undisturbed").await;
    let readers = Readers::begin(&ground).await;
    let seed = number("MARTS_KILL_SEED", 20_260_120);
    let mut die = ChaCha8Rng::seed_from_u64(seed);
    let pairs = number("MARTS_PAIRS", 3);
    let (mut refused, mut both) = (0, 0);
    for at in 0..pairs {
        let target = (at % 2) as usize;
        // At once, and with up to half a second between them.
        let gap = if at == 0 { Duration::ZERO } else { Duration::from_millis(die.random_range(0..500)) };
        let context = format!("seed {seed}, pair {at}, {gap:?} apart");
        let started = |which| {
            ground.command(which, &ground.arguments(&[])).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let disturb = || {
            let first = started(target);
            std::thread::sleep(gap);
            // The other one is of the same world: the same night, started twice.
            let second = started(target);
            [first, second].map(|run| {
                let output = run.wait_with_output().unwrap();
                (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.code())
            })
        };
        let since = ground.look(0).await.newest_change;
        let ended = tokio::task::block_in_place(disturb);
        // Already now, without another run, each organisation has the new night, once.
        let look = ground.look(since).await;
        let said: Vec<_> = ended.iter().map(|(said, code)| format!("{code:?} {said}")).collect();
        assert_eq!(look.marts, nights.0[target].marts, "{context}: {said:#?}");
        assert_eq!(look.changes, nights.0[target].changes, "{context}: each change is in the ledger once");
        for (said, code) in &ended {
            if *code == Some(0) {
                continue;
            }
            refused += 1;
            assert!(said.contains("is being filled by another run: marts"), "{context}: {code:?} {said}");
        }
        both += u64::from(ended.iter().all(|(_, code)| *code == Some(0)));
        // And the next night is as every other.
        nights.disturbed(&ground, 1 - target, &context, || ()).await;
        nights.disturbed(&ground, target, &context, || ()).await;
    }
    let looks = readers.end(&nights, "two nights at once").await;
    figure(
        "pairs of nights at once",
        format!("{pairs} ({refused} runs were told who was filling a mart, {both} pairs did not meet)"),
    );
    figure("looks of readers during them, each a whole night", looks);
}
