//! `[org.softbase.ledger]`: what the accounts of a general ledger mean to an organisation. Charts differ from dealer to
//! dealer, and the same prefix is cash in one and stock in another, so there are no defaults.

use serde::Deserialize;
use toml::Spanned;

use super::parse::Fault;
use super::wire::Text;

/// `[org.softbase.ledger]`: what makes the ledger's marts possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Days after a month's last that it is still open.
    pub close_lag_days: u16,
    /// What paying off, and drawing on, the floor plan is.
    pub floor_plan: FloorPlan,
    /// Health of a month: `healthy` when its operating cash flow is above this, in whole units of money …
    pub healthy_above: i64,
    /// … `warning` when above this, and `critical` at or below it.
    pub warning_above: i64,
    /// Ranges of accounts with their class. Any two of them are apart, or one lies within the other, which then wins;
    /// in this order the first that holds an account is the innermost.
    pub accounts: Vec<AccountRange>,
    /// Ranges of accounts whose other side is accumulated depreciation: a mark on top of their class.
    pub depreciation: Vec<AccountRange>,
}

/// What floor plan debt counts as in the cash flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FloorPlan {
    Financing,
    Operating,
}

impl FloorPlan {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            FloorPlan::Financing => "financing",
            FloorPlan::Operating => "operating",
        }
    }
}

/// Accounts whose first digits lie between `first` and `last`, which have the same length; one with fewer digits lies in
/// no such range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRange {
    /// The key it is written under: `cash`, `ar`, …
    pub class: &'static str,
    pub first: String,
    pub last: String,
}

/// Digits to which the bounds of ranges are filled up to be compared; no chart has as many.
const DIGITS: usize = 24;

impl Ledger {
    /// Why there can be no statements by these classes; none when there can.
    pub fn lacks(&self) -> Option<&'static str> {
        let has_cash = self.accounts.iter().any(|range| range.class == "cash");
        (!has_cash).then_some("[org.softbase.ledger.accounts] has no class cash, so there is no cash flow to tell")
    }
}

impl AccountRange {
    /// The bounds as numbers of [`DIGITS`] digits: all accounts that begin as the range says.
    fn bounds(&self) -> (u128, u128) {
        let filled = |text: &str, digit: &str| {
            let text = format!("{text}{}", digit.repeat(DIGITS - text.len()));
            text.parse().unwrap_or_default()
        };
        (filled(&self.first, "0"), filled(&self.last, "9"))
    }

    fn width(&self) -> u128 {
        let (first, last) = self.bounds();
        last - first
    }
}

impl std::fmt::Display for AccountRange {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            write!(out, "{}", self.first)
        } else {
            write!(out, "{}-{}", self.first, self.last)
        }
    }
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    pub close_lag_days: u16,
    pub floor_plan: Option<FloorPlan>,
    pub healthy_above: Option<i64>,
    pub warning_above: Option<Spanned<i64>>,
    pub accounts: Accounts,
}

/// The classes, each with its ranges.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Accounts {
    cash: Vec<Text>,
    ar: Vec<Text>,
    inventory: Vec<Text>,
    other_current_asset: Vec<Text>,
    fixed_asset: Vec<Text>,
    accumulated_depreciation: Vec<Text>,
    other_asset: Vec<Text>,
    ap: Vec<Text>,
    other_current_liability: Vec<Text>,
    floor_plan: Vec<Text>,
    debt: Vec<Text>,
    equity: Vec<Text>,
    revenue: Vec<Text>,
    cogs: Vec<Text>,
    expense: Vec<Text>,
    other_income: Vec<Text>,
    other_expense: Vec<Text>,
    depreciation: Vec<Text>,
}

/// Checks it.
pub(super) fn check(written: Written) -> Result<Ledger, Fault> {
    let by_class = written.accounts;
    let depreciation =
        by_class.depreciation.iter().map(|text| range("depreciation", text)).collect::<Result<_, _>>()?;
    let classes = [
        ("cash", by_class.cash),
        ("ar", by_class.ar),
        ("inventory", by_class.inventory),
        ("other_current_asset", by_class.other_current_asset),
        ("fixed_asset", by_class.fixed_asset),
        ("accumulated_depreciation", by_class.accumulated_depreciation),
        ("other_asset", by_class.other_asset),
        ("ap", by_class.ap),
        ("other_current_liability", by_class.other_current_liability),
        ("floor_plan", by_class.floor_plan),
        ("debt", by_class.debt),
        ("equity", by_class.equity),
        ("revenue", by_class.revenue),
        ("cogs", by_class.cogs),
        ("expense", by_class.expense),
        ("other_income", by_class.other_income),
        ("other_expense", by_class.other_expense),
    ];
    let mut accounts: Vec<AccountRange> = Vec::new();
    for (class, texts) in classes {
        for text in texts {
            let range = range(class, &text)?;
            if let Some(other) = accounts.iter().find(|other| !can_stand_beside(&range, other)) {
                let message = if range.bounds() == other.bounds() {
                    format!("{range} is {} already", other.class)
                } else {
                    format!("{range} and {other} of {} share only some accounts; write them apart", other.class)
                };
                return Err(Fault::at(text.span(), message));
            }
            accounts.push(range);
        }
    }
    accounts.sort_by_key(AccountRange::width);
    let healthy_above = written.healthy_above.unwrap_or(0);
    let warning_above = match written.warning_above {
        Some(amount) if *amount.get_ref() > healthy_above => {
            return Err(Fault::at(amount.span(), format!("at most healthy_above, which is {healthy_above}")));
        }
        Some(amount) => amount.into_inner(),
        None => healthy_above.min(-50_000),
    };
    Ok(Ledger {
        close_lag_days: written.close_lag_days,
        floor_plan: written.floor_plan.unwrap_or(FloorPlan::Financing),
        healthy_above,
        warning_above,
        accounts,
        depreciation,
    })
}

/// Whether there is no doubt which of two ranges an account belongs to.
fn can_stand_beside(one: &AccountRange, other: &AccountRange) -> bool {
    let ((first, last), (other_first, other_last)) = (one.bounds(), other.bounds());
    let apart = last < other_first || other_last < first;
    let within = first >= other_first && last <= other_last;
    let around = first <= other_first && last >= other_last;
    apart || (within != around)
}

/// "12", or "180-187".
fn range(class: &'static str, text: &Text) -> Result<AccountRange, Fault> {
    let written = text.get_ref();
    let (first, last) = written.split_once('-').unwrap_or((written, written));
    let is_number = |part: &str| (1..=DIGITS).contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        let message =
            format!("\"{written}\" is no range of accounts: write first digits, as in \"12\", or \"180-187\"");
        return Err(Fault::at(text.span(), message));
    }
    if first.len() != last.len() || first > last {
        let message = format!("\"{written}\": both ends have as many digits, and the lower comes first");
        return Err(Fault::at(text.span(), message));
    }
    Ok(AccountRange { class, first: first.to_owned(), last: last.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(text: &str) -> Result<Ledger, String> {
        let written = toml::from_str(text).map_err(|error| error.to_string())?;
        check(written).map_err(|fault| fault.message)
    }

    /// As SQL does it: the first range, innermost first, that the account's first digits lie in.
    fn class_of(ledger: &Ledger, account: &str) -> Option<&'static str> {
        let within = |range: &&AccountRange| {
            let start = account.get(..range.first.len());
            start.is_some_and(|start| range.first.as_str() <= start && start <= range.last.as_str())
        };
        ledger.accounts.iter().find(within).map(|range| range.class)
    }

    #[test]
    fn the_innermost_range_wins() {
        let text = "[accounts]\nfixed_asset = [\"180-187\", \"126\"]\nother_current_asset = [\"187\"]\n\
                    cash = [\"110000-115000\"]\nother_asset = [\"1260401-1260402\"]";
        let ledger = ledger(text).unwrap();
        for (account, class) in [
            ("183000", Some("fixed_asset")),
            ("187000", Some("other_current_asset")),
            ("115000", Some("cash")),
            ("115001", None),
            ("1260401", Some("other_asset")),
            ("1260403", Some("fixed_asset")),
            ("18", None),
            // As text it lies between 180 and 187.
            ("181", Some("fixed_asset")),
            ("1805", Some("fixed_asset")),
            ("200000", None),
        ] {
            assert_eq!(class_of(&ledger, account), class, "{account}");
        }
        assert_eq!(ledger.lacks(), None);
        assert_eq!((ledger.healthy_above, ledger.warning_above), (0, -50_000));
    }

    #[test]
    fn what_leaves_a_doubt_is_refused() {
        for (accounts, said) in [
            ("cash = [\"11\"]\nar = [\"11\"]", "11 is cash already"),
            ("cash = [\"110-115\"]\nar = [\"114-120\"]", "share only some accounts"),
            ("cash = [\"11-\"]", "no range of accounts"),
            ("cash = [\"1a\"]", "no range of accounts"),
            ("cash = [\"110-20\"]", "as many digits"),
            ("cash = [\"120-110\"]", "the lower comes first"),
            ("cahs = [\"11\"]", "cahs"),
        ] {
            let message = ledger(&format!("[accounts]\n{accounts}")).unwrap_err();
            assert!(message.contains(said), "{accounts}: {message}");
        }
        assert!(ledger("warning_above = 1\n[accounts]").unwrap_err().contains("healthy_above"));
        assert!(ledger("[accounts]\nar = [\"12\"]").unwrap().lacks().unwrap().contains("cash"));
    }
}
