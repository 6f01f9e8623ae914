//! Exact decimal arithmetic as SQL Server does it.

use std::cmp::Ordering;

/// The most digits a decimal holds.
pub(crate) const MAX_PRECISION: u8 = 38;

pub(crate) fn power_of_ten(exponent: u8) -> i128 {
    10i128.pow(u32::from(exponent.min(MAX_PRECISION)))
}

/// `mantissa / 10^from` at another scale, rounded half away from zero. None when it leaves 38 digits.
pub(crate) fn rescale(mantissa: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        return mantissa.checked_mul(power_of_ten(to - from));
    }
    let divisor = power_of_ten(from - to);
    let (quotient, rest) = (mantissa / divisor, mantissa % divisor);
    let up = rest.unsigned_abs() >= divisor.unsigned_abs().div_ceil(2);
    Some(if up { quotient + mantissa.signum() } else { quotient })
}

/// The same, refused when it has more digits than the precision allows.
pub(crate) fn fit(mantissa: i128, from: u8, precision: u8, scale: u8) -> Option<i128> {
    rescale(mantissa, from, scale).filter(|m| m.unsigned_abs() < power_of_ten(precision).unsigned_abs())
}

/// Compares two exact numbers of different scale.
pub(crate) fn compare(left: (i128, u8), right: (i128, u8)) -> Ordering {
    let scale = left.1.max(right.1);
    match (rescale(left.0, left.1, scale), rescale(right.0, right.1, scale)) {
        (Some(l), Some(r)) => l.cmp(&r),
        // Only one beyond 38 digits: its sign decides. Both cannot be, as one of them already has this scale.
        (None, _) => left.0.cmp(&0),
        (_, None) => 0.cmp(&right.0),
    }
}

/// `123.45`, with exactly `scale` digits after the point.
pub(crate) fn to_text(mantissa: i128, scale: u8) -> String {
    let sign = if mantissa < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Reads `[+-]digits[.digits][e[+-]digits]` into mantissa and scale. None when it is anything else or too long.
pub(crate) fn parse(text: &str) -> Option<(i128, u8)> {
    let text = text.trim_matches(' ');
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let unsigned = number.strip_prefix(['+', '-']).unwrap_or(number);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut mantissa = 0i128;
    for digit in digits() {
        mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if number.starts_with('-') {
        mantissa = -mantissa;
    }
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    match scale {
        _ if mantissa == 0 => Some((0, 0)),
        0..=38 => Some((mantissa, scale as u8)),
        -38..0 => Some((mantissa.checked_mul(power_of_ten(-scale as u8))?, 0)),
        // So small that only 38 digits of it can matter.
        39..=76 => Some((rescale(mantissa, (scale - 38) as u8, 0)?, 38)),
        77.. => Some((0, 0)),
        _ => None,
    }
}

/// A float's 17 significant digits, which is what SQL Server converts to a decimal.
pub(crate) fn from_float(value: f64) -> Option<(i128, u8)> {
    if value.is_finite() { parse(&format!("{value:.16e}")) } else { None }
}
