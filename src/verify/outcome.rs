//! What a comparison comes to.

use anyhow::Result;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

/// Places of every amount in the marts; counts have none.
const PLACES: u32 = 2;

/// How far a mart and its source may be apart. Each use has its reason beside it, in the table of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// Not at all: amounts to the cent, counts to the record.
    Exact,
    /// Half a cent for each day added up, and half a cent for the sum: the mart rounds days, the question does not.
    HalfCentPerDay,
    /// One record in a thousand, and one at least.
    OneInAThousand,
}

impl Tolerance {
    /// As an amount, for what the mart says and the days that were added up.
    pub fn of(self, published: Option<Decimal>, days: u32) -> Decimal {
        match self {
            Tolerance::Exact => Decimal::ZERO,
            Tolerance::HalfCentPerDay => Decimal::new(5, 3) * Decimal::from(u64::from(days) + 1),
            Tolerance::OneInAThousand => {
                (published.unwrap_or_default().abs() / Decimal::ONE_THOUSAND).floor().max(Decimal::ONE)
            }
        }
    }

    /// As it reads in the table of questions.
    pub fn name(self) -> &'static str {
        match self {
            Tolerance::Exact => "none",
            Tolerance::HalfCentPerDay => "half a cent a day",
            Tolerance::OneInAThousand => "one in a thousand, one at least",
        }
    }
}

/// How a cell of a mart stands to its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Equal,
    /// Apart, and no further than the tolerance.
    Within,
    Differs,
    /// The source was asked and gave no answer. That is never taken for an agreement.
    Unanswered,
}

impl Outcome {
    /// As the ledger and the table have it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Equal => "equal",
            Outcome::Within => "within",
            Outcome::Differs => "differs",
            Outcome::Unanswered => "unanswered",
        }
    }

    /// Whether the source confirms the mart.
    pub fn is_good(self) -> bool {
        matches!(self, Outcome::Equal | Outcome::Within)
    }
}

/// A cell of a mart beside what its source answered.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    pub org: String,
    pub job: &'static str,
    pub mart: &'static str,
    /// First day of the row's period.
    pub period: NaiveDate,
    /// The column; of a JSON column with the entry, as in `cases_by_status / Closed`.
    pub column: String,
    pub published: Option<Decimal>,
    /// None where it answered nothing, or that it has none.
    pub source: Option<Decimal>,
    /// What the mart says less what the source says; none where one of them says nothing.
    pub difference: Option<Decimal>,
    pub tolerance: Decimal,
    pub outcome: Outcome,
    /// Why there is no answer, outermost cause first.
    pub error: Option<String>,
    pub asked_at: DateTime<Utc>,
}

impl Compared {
    /// Compares the two, to the places of the mart. Nothing on both sides is an agreement; on one side it is none.
    pub(super) fn judge(&mut self, answer: &Result<Option<Decimal>, String>) {
        match answer {
            Err(error) => {
                (self.outcome, self.error) = (Outcome::Unanswered, Some(error.clone()));
            }
            Ok(source) => {
                self.source =
                    source.map(|value| value.round_dp_with_strategy(PLACES, RoundingStrategy::MidpointAwayFromZero));
                self.difference = self.published.zip(self.source).map(|(published, source)| published - source);
                self.outcome = match (self.published, self.source, self.difference) {
                    (None, None, _) => Outcome::Equal,
                    (_, _, Some(difference)) if difference.is_zero() => Outcome::Equal,
                    (_, _, Some(difference)) if difference.abs() <= self.tolerance => Outcome::Within,
                    _ => Outcome::Differs,
                };
            }
        }
    }
}

/// A question that was not put, and why: it is no failure, and no agreement either.
#[derive(Debug, Clone, Serialize)]
pub struct NotAsked {
    pub org: String,
    pub job: &'static str,
    pub mart: &'static str,
    pub period: NaiveDate,
    pub columns: Vec<&'static str>,
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(published: Option<&str>, answer: Result<Option<&str>, &str>, tolerance: &str) -> Compared {
        let read = |text: &str| text.parse::<Decimal>().unwrap();
        let mut compared = Compared {
            org: "acme".into(),
            job: "etl_sales_daily",
            mart: "mart_sales_daily",
            period: "2026-01-20".parse().unwrap(),
            column: "total_revenue".into(),
            published: published.map(read),
            source: None,
            difference: None,
            tolerance: read(tolerance),
            outcome: Outcome::Unanswered,
            error: None,
            asked_at: "2026-01-21T14:00:00Z".parse().unwrap(),
        };
        compared.judge(&answer.map(|value| value.map(read)).map_err(str::to_owned));
        compared
    }

    #[test]
    fn a_cell_agrees_to_the_cent_or_within_its_tolerance_and_silence_is_no_agreement() {
        for (published, answer, tolerance, outcome) in [
            (Some("10.00"), Ok(Some("10")), "0", Outcome::Equal),
            // The source adds up more places than the mart shows.
            (Some("10.01"), Ok(Some("10.0050")), "0", Outcome::Equal),
            (Some("-10.01"), Ok(Some("-10.0050")), "0", Outcome::Equal),
            (Some("10.00"), Ok(Some("10.01")), "0", Outcome::Differs),
            (Some("10.00"), Ok(Some("10.01")), "0.01", Outcome::Within),
            (Some("10.00"), Ok(Some("9.98")), "0.01", Outcome::Differs),
            (Some("0"), Ok(None), "5", Outcome::Differs),
            (None, Ok(Some("0")), "5", Outcome::Differs),
            (None, Ok(None), "0", Outcome::Equal),
            (Some("10.00"), Err("503"), "100", Outcome::Unanswered),
            (None, Err("503"), "0", Outcome::Unanswered),
        ] {
            let compared = judged(published, answer, tolerance);
            assert_eq!(compared.outcome, outcome, "{published:?} {answer:?}");
            assert_eq!(compared.error.is_some(), outcome == Outcome::Unanswered);
        }
        assert_eq!(judged(Some("10.00"), Ok(Some("9.98")), "0").difference, Some("0.02".parse().unwrap()));
    }

    #[test]
    fn tolerances_are_as_stated() {
        let of = |tolerance: Tolerance, published: i64, days| tolerance.of(Some(published.into()), days).to_string();
        assert_eq!(of(Tolerance::Exact, 1_000_000, 300), "0");
        assert_eq!(of(Tolerance::HalfCentPerDay, 5, 20), "0.105");
        assert_eq!(of(Tolerance::OneInAThousand, 20, 1), "1");
        assert_eq!(of(Tolerance::OneInAThousand, 5_999, 1), "5");
    }
}
