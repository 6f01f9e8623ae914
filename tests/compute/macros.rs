//! The macros against rust_decimal and by property.

use proptest::prelude::*;
use rust_decimal::{Decimal, RoundingStrategy};

fn macros() -> duckdb::Connection {
    let connection = duckdb::Connection::open_in_memory().unwrap();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/macros.sql")).unwrap();
    connection.execute_batch(&text).unwrap();
    connection
}

fn scalar(connection: &duckdb::Connection, expression: &str) -> Result<Option<String>, duckdb::Error> {
    connection.query_row(&format!("select ({expression})::varchar"), [], |row| row.get(0))
}

fn decimals(digits: i64, places: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = Decimal> {
    (-digits..=digits, places).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale))
}

#[test]
fn ratio_pct_and_fits_agree_with_rust_decimal() {
    let connection = macros();
    let cents = |value: Decimal| {
        let mut value = value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        value.rescale(2);
        if value.is_zero() { "0.00".to_owned() } else { value.to_string() }
    };
    let numerator = decimals(1_000_000_000_000, 0..=4);
    let denominator = prop_oneof![decimals(1_000_000, 0..=4), Just(Decimal::new(8, 0)), Just(Decimal::new(-200, 0))];
    proptest!(ProptestConfig::with_cases(400), |(part in numerator, whole in denominator)| {
        let of = |macro_: &str| scalar(&connection, &format!("{macro_}({part}, {whole})")).unwrap();
        if whole.is_zero() {
            prop_assert_eq!((of("ratio"), of("pct")), (None, None));
        } else {
            prop_assert_eq!(of("ratio"), Some(cents(part / whole)));
            prop_assert_eq!(of("pct"), Some(cents(part * Decimal::ONE_HUNDRED / whole)));
        }
        let rounded = part.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        let fitting = (rounded.abs() < Decimal::new(1000, 0)).then(|| cents(part));
        prop_assert_eq!(scalar(&connection, &format!("fits({part}, 5, 2)")).unwrap(), fitting);
    });
}

#[test]
fn average_divides_all_eighteen_decimals_at_once() {
    let connection = macros();
    // Mantissas of up to 10^27 with 18 places: amounts of up to a thousand million.
    let sum =
        (-1_000_000_000_000_000_000_000_000_000i128..=1_000_000_000_000_000_000_000_000_000i128, 1u32..=1_000_000);
    proptest!(ProptestConfig::with_cases(400), |((mantissa, things) in sum)| {
        let amount = Decimal::from_i128_with_scale(mantissa, 18);
        let unit = 10i128.pow(16) * i128::from(things);
        let cents = (2 * mantissa.abs() + unit) / (2 * unit) * mantissa.signum();
        let expected = Decimal::from_i128_with_scale(cents, 2).to_string();
        let found = scalar(&connection, &format!("average({amount}, {things})")).unwrap();
        prop_assert_eq!(found.map(|text| text.replace("-0.00", "0.00")), Some(expected.replace("-0.00", "0.00")));
    });
    for (expression, expected) in [
        ("average(1, 0)", "0.00"),
        ("average(0.025, 1)", "0.03"),
        ("average(-0.05, 2)", "-0.03"),
        ("average(0.014999999999999999, 1)", "0.01"),
        ("average(99999999999999.99, 1)", "99999999999999.99"),
    ] {
        assert_eq!(scalar(&connection, expression).unwrap().as_deref(), Some(expected), "{expression}");
    }
}

#[test]
fn exact_macros_refuse_binary_fractions_and_know_their_bounds() {
    let connection = macros();
    assert!(scalar(&connection, "ratio(1e0, 2)").unwrap_err().to_string().contains("DOUBLE"));
    assert!(scalar(&connection, "pct(1, 2.5::float)").unwrap_err().to_string().contains("FLOAT"));
    for (expression, expected) in [
        ("ratio(1, 8)", "0.13"),
        ("ratio(-1, 8)", "-0.13"),
        ("ratio(1, -8)", "-0.13"),
        ("ratio(9999999999999999.99, 1)", "9999999999999999.99"),
        ("pct(2147483647::integer, 1)", "214748364700.00"),
        ("fits(999.994, 5, 2)", "999.99"),
        ("fits(-999.99, 5, 2)", "-999.99"),
    ] {
        assert_eq!(scalar(&connection, expression).unwrap().as_deref(), Some(expected), "{expression}");
    }
    for expression in
        ["ratio(null, 1)", "ratio(1, null)", "ratio(1, 0)", "pct(0, 0)", "fits(999.995, 5, 2)", "fits(null, 5, 2)"]
    {
        assert_eq!(scalar(&connection, expression).unwrap(), None, "{expression}");
    }
}

#[test]
fn a_breakdown_is_ordered_exact_and_refuses_double_keys() {
    let connection = macros();
    let of = |values: &str| {
        let sql = format!("(select breakdown(list((key, value))) from (values {values}) as pairs(key, value))");
        scalar(&connection, &sql)
    };
    let of_none =
        scalar(&connection, "(select breakdown(list((key, 1))) from (values ('a')) as pairs(key) where false)");
    assert_eq!(
        of("('b', 1.10::decimal(18,2)), ('a\"', 90071992547409931.25)").unwrap().unwrap(),
        r#"{"a\"": 90071992547409931.25, "b": 1.10}"#
    );
    assert_eq!(of("('x', '{\"n\":1.10}'::json), ('n', null)").unwrap().unwrap(), r#"{"n": null, "x": {"n":1.10}}"#);
    assert_eq!(of_none.unwrap().unwrap(), "{}");
    assert!(of("('a', 1), ('a', 2)").unwrap_err().to_string().contains("twice"));
    assert!(of("(null, 1), ('a', 2)").unwrap_err().to_string().contains("null"));
}
