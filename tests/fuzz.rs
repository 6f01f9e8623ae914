//! Bad input: changed pages, broken bytes, wild settings and dates. Nothing panics, nothing is read as what it does not say,
//! and no answer takes more memory than it should.
//!
//! `MARTS_FUZZ_CASES` says how often each is tried, `MARTS_FUZZ_SEED` which trials they are.

mod change;
mod floods;
mod pages;
mod quickbooks;
mod settings;
mod wire;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::faults::ground::{figure, number};

/// Tries something with many seeds, of which the first that fails is told.
fn trials(name: &str, share: u64, mut trial: impl FnMut(&mut ChaCha8Rng)) {
    let cases = number("MARTS_FUZZ_CASES", 60) * share;
    let seed = number("MARTS_FUZZ_SEED", 1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        failure_persistence: None,
        // A smaller seed is no simpler one.
        max_shrink_iters: 0,
        ..Config::default()
    };
    let trial = std::cell::RefCell::new(&mut trial);
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let done = runner.run(&proptest::num::u64::ANY, |die| {
        trial.borrow_mut()(&mut ChaCha8Rng::seed_from_u64(die));
        Ok(())
    });
    if let Err(error) = done {
        panic!("{name}, MARTS_FUZZ_SEED={seed}: {error}");
    }
    figure(&format!("fuzz runs of {name}"), cases);
}

/// What is said of bad input is short. It may quote an id with a line break in it, which whoever shows it takes out.
fn must_be_a_line(error: &anyhow::Error) {
    let line = format!("{error:#}");
    assert!(!line.is_empty() && line.lines().count() <= 2 && line.len() < 8_000, "{line}");
}
