//! A business made up from a seed, whose numbers hang together.
//!
//! Two profiles share one double-entry [`Ledger`]: a [`dealer`] of forklifts (the ERP's invoice register, work orders and
//! general ledger) and a [`services`] company (the books QuickBooks Online reports on). Everything is a pure function of
//! (seed, options, first day, last day): no clock is read, no amount is ever a float. Each day draws from its own random
//! stream, so a business generated for one more day has the same past.
//!
//! The structs answer questions about themselves (`sales_day`, `balances`, …) in plain Rust over the objects. Those
//! answers are the oracle the tests hold SQL and parsers against, so nothing here may share code with the product.

pub mod app;
pub mod calendar;
pub mod crm;
pub mod dealer;
pub mod ledger;
pub mod services;
pub mod table;
pub mod zoom;

pub use ledger::{Basis, Entry, Ledger, Line};
pub use table::{Cell, Column, TableData};

use chrono::{Datelike, NaiveDate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;

/// Money in whole cents.
pub type Cents = i64;

/// Whole dollars as cents.
pub const fn usd(dollars: i64) -> Cents {
    dollars * 100
}

/// Cents as the exact decimal with two places.
pub fn decimal(cents: Cents) -> Decimal {
    Decimal::new(cents, 2)
}

/// Cents the way QuickBooks writes them: sign in front, two decimals, no thousands separator.
pub fn text(cents: Cents) -> String {
    decimal(cents).to_string()
}

/// `cents × per_mille / 1000`, half away from zero.
pub fn share(cents: Cents, per_mille: i64) -> Cents {
    let scaled = cents * per_mille;
    (scaled + 500 * scaled.signum()) / 1000
}

/// The random numbers of one day and one purpose. A stream of its own per day is what keeps the past unchanged when the
/// span grows; `purpose` keeps independent draws of a day apart, so that adding one does not reshuffle the others.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn for_day(seed: u64, purpose: u8, date: NaiveDate) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(purpose) << 32 | date.num_days_from_ce() as u64);
        Self(rng)
    }

    /// A whole number in `low..=high`.
    pub(crate) fn roll(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high)
    }

    /// True `per_mille` times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: i64) -> bool {
        self.roll(1, 1000) <= per_mille
    }

    /// One of `items`, each as likely as the others.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.roll(0, items.len() as i64 - 1) as usize]
    }
}
