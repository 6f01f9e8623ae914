//! A clock that is stepped, back and forth, between nights.

use super::ground::{Ground, SERVER, Size, figure};
use super::trial::Nights;

/// Google refuses whoever asks for a token at another time than its own, so there is no app in these nights.
const JOBS: [&str; 3] = ["etl_sales_daily", "etl_quickbooks_financial", "etl_hubspot_deals"];

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_pull_counts_whatever_the_clock_said() {
    let ground = Ground::start(std::env::var(SERVER).ok(), &[7, 8], Size::Only(&JOBS)).await;
    let nights = Nights::undisturbed(&ground, "undisturbed").await;
    let from_staging = ground.arguments(&["--from-staging"]);
    // Back an hour, forth two, back most of a day, and forth to where it should be.
    let steps = [-3_600, 7_200, -50_000, 50_000];
    for (at, seconds) in steps.into_iter().enumerate() {
        let target = at % 2;
        let context = format!("step {at}, by {seconds} s");
        ground.step(seconds);
        nights.disturbed(&ground, target, &context, || ground.run(target)).await;
        // What was pulled last is what counts in the landing zone too.
        ground.ends(target, &from_staging, 0);
        let look = ground.look_after_a_good_night(0, &context).await;
        assert_eq!(look.marts, nights.0[target].marts, "{context}: computed from staging");
    }
    ground.ledger_tells_the_marts("after the steps").await;
    figure("steps of the clock between nights", steps.len());
}
