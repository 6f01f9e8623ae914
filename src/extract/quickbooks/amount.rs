//! Amounts as report cells write them, to the cent and without a float.

/// The amount of a cell in hundredths: `Ok(None)` where the cell is empty, `Err` where it is anything but an amount.
///
/// The API writes `-59.00`; `(59.00)` and `1,234.50` come from exports. Decimals beyond the second may only be zeros.
pub(super) fn cents(text: &str) -> Result<Option<i64>, NotAnAmount> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (negative, digits) = match text.strip_prefix('(') {
        Some(inner) => (true, inner.strip_suffix(')').ok_or(NotAnAmount)?.trim()),
        None => match text.strip_prefix(['-', '+']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        },
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = without_separators(whole).ok_or(NotAnAmount)?;
    if whole.is_empty() && fraction.is_empty() {
        return Err(NotAnAmount);
    }
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(NotAnAmount);
    }
    let (kept, dropped) = fraction.split_at(fraction.len().min(2));
    if dropped.bytes().any(|digit| digit != b'0') {
        return Err(NotAnAmount);
    }
    let magnitude: i64 = format!("{whole}{kept:0<2}").parse().map_err(|_| NotAnAmount)?;
    // What the column holds: 18 digits.
    if magnitude >= 1_000_000_000_000_000_000 {
        return Err(NotAnAmount);
    }
    Ok(Some(if negative { -magnitude } else { magnitude }))
}

/// The text of a cell is no amount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAnAmount;

/// `1,234` as `1234`; none when the commas are not every three digits, so that `1,5` is not read as 15.
fn without_separators(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let rest: Vec<&str> = groups.collect();
    let well_formed = rest.is_empty() || (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3);
    well_formed.then(|| whole.replace(',', ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(amount in -999_999_999_999_999_999_i64..=999_999_999_999_999_999) {
            let (whole, cents_of_it) = (amount.unsigned_abs() / 100, amount.unsigned_abs() % 100);
            let sign = if amount < 0 { "-" } else { "" };
            prop_assert_eq!(cents(&format!("{sign}{whole}.{cents_of_it:02}")), Ok(Some(amount)));
            let digits = whole.to_string();
            let mut grouped = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index) % 3 == 0 {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            let exported = format!("{grouped}.{cents_of_it:02}");
            let exported = if amount < 0 { format!("({exported})") } else { exported };
            prop_assert_eq!(cents(&exported), Ok(Some(amount)));
        }

        #[test]
        fn no_text_is_too_odd_to_be_refused(text in any::<String>()) {
            let _ = cents(&text);
        }
    }

    #[test]
    fn amounts_are_read_to_the_cent() {
        for (text, amount) in [
            ("", None),
            ("  ", None),
            ("0.00", Some(0)),
            (".00", Some(0)),
            ("937.50", Some(93_750)),
            ("-59.00", Some(-5_900)),
            ("+1.5", Some(150)),
            ("-.07", Some(-7)),
            ("12", Some(1_200)),
            ("12.", Some(1_200)),
            ("337.500000", Some(33_750)),
            ("(59.00)", Some(-5_900)),
            ("(1,234.50)", Some(-123_450)),
            ("1,234,567.89", Some(123_456_789)),
            ("9999999999999999.99", Some(999_999_999_999_999_999)),
            // No float holds it.
            ("90071992547409.93", Some(9_007_199_254_740_993)),
        ] {
            assert_eq!(cents(text), Ok(amount), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "n/a",
            "-",
            ".",
            "1,5",
            "1,2345",
            ",123",
            "1234,567",
            "1.005",
            "1.2.3",
            "1e3",
            "$5.00",
            "5.00-",
            "--5",
            "(5",
            "(-5)",
            "5)",
            "10000000000000000.00",
            "٣",
            "1 000.00",
            "NaN",
            "12%",
        ] {
            assert_eq!(cents(text), Err(NotAnAmount), "{text}");
        }
    }
}
