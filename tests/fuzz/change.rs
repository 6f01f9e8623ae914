//! Documents changed at random: members that go, come twice, change their type or are wrapped; bytes that flip or are lost.

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Values that stand where others are expected.
pub fn odd(die: &mut ChaCha8Rng) -> Value {
    let odd = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "12.5",
        "1e2",
        "1E400",
        "-1e-400",
        "0.1",
        "99999999999999999999999999",
        "1234567890123456789.25",
        "\"\"",
        "\" \"",
        "\"0.00\"",
        "\"-0.01\"",
        "\"12.345\"",
        "\"(7.00)\"",
        "\"1,234.50\"",
        "\"1e3\"",
        "\"NaN\"",
        "\"Infinity\"",
        "\"٣\"",
        "\"12\\n34\"",
        "\"\\u0000\"",
        "\"true\"",
        "\"2026-02-30\"",
        "\"2026-01-20\"",
        "\"2026-01-20T06:00:00Z\"",
        "\"2026-01-20T06:00:00\"",
        "\"-262143-01-01T00:00:00Z\"",
        "\"9999999999999999999\"",
        "[]",
        "{}",
        "[\"12.00\"]",
        "{\"value\": \"12.00\"}",
        "[[[]]]",
    ];
    match die.random_range(0..8) {
        0 => json!(die.random_range(-1_000_000..1_000_000)),
        1 => json!(format!("{}.{:02}", die.random_range(-99_999..99_999), die.random_range(0..100))),
        2 => json!("x".repeat(die.random_range(0..5_000))),
        _ => serde_json::from_str(odd.choose(die).unwrap()).unwrap(),
    }
}

/// Every value within, by the way that leads to it.
fn ways(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    match value {
        Value::Array(list) => {
            for (at, item) in list.iter().enumerate() {
                found.extend(ways(item).into_iter().map(|way| format!("/{at}{way}")));
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                found.extend(ways(member).into_iter().map(|way| format!("/{name}{way}")));
            }
        }
        _ => {}
    }
    found
}

/// Changes a document in one to three places.
pub fn document(document: &mut Value, die: &mut ChaCha8Rng) {
    for _ in 0..die.random_range(1..=3) {
        let ways = ways(document);
        let way = ways.choose(die).unwrap().clone();
        match die.random_range(0..6) {
            // Gone.
            0 => {
                let Some((parent, name)) = way.rsplit_once('/') else { continue };
                let name = name.replace("~1", "/").replace("~0", "~");
                match document.pointer_mut(parent) {
                    Some(Value::Object(members)) => _ = members.shift_remove(&name),
                    Some(Value::Array(list)) => _ = list.remove(name.parse().unwrap()),
                    _ => {}
                }
            }
            // Twice, in a list.
            1 => {
                let Some((parent, _)) = way.rsplit_once('/') else { continue };
                let again = document.pointer(&way).unwrap().clone();
                if let Some(Value::Array(list)) = document.pointer_mut(parent) {
                    let at = die.random_range(0..=list.len());
                    list.insert(at, again);
                }
            }
            // Wrapped.
            2 => {
                let inner = document.pointer_mut(&way).unwrap();
                let depth = die.random_range(1..150);
                for _ in 0..depth {
                    *inner = if die.random() { json!([inner.take()]) } else { json!({ "value": inner.take() }) };
                }
            }
            // Exchanged with another one.
            3 => {
                let other = document.pointer(ways.choose(die).unwrap()).unwrap().clone();
                *document.pointer_mut(&way).unwrap() = other;
            }
            _ => *document.pointer_mut(&way).unwrap() = odd(die),
        }
    }
}

/// Breaks bytes: some flip, some are lost, some come twice.
pub fn bytes(bytes: &mut Vec<u8>, die: &mut ChaCha8Rng) {
    for _ in 0..die.random_range(1..=4) {
        if bytes.is_empty() {
            return;
        }
        let at = die.random_range(0..bytes.len());
        let end = (at + die.random_range(1..64)).min(bytes.len());
        match die.random_range(0..5) {
            0 => bytes[at] ^= 1 << die.random_range(0..8),
            1 => bytes[at] = die.random(),
            2 => bytes.truncate(at),
            3 => _ = bytes.drain(at..end),
            _ => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
}

/// A page with changes: most often still JSON, sometimes not, sometimes nothing that was ever one.
pub fn page(page: &Value, die: &mut ChaCha8Rng) -> Vec<u8> {
    let mut changed = page.clone();
    match die.random_range(0..10) {
        0 => (0..die.random_range(0..200)).map(|_| die.random()).collect(),
        1..=2 => {
            let mut text = page.to_string().into_bytes();
            bytes(&mut text, die);
            text
        }
        _ => {
            document(&mut changed, die);
            changed.to_string().into_bytes()
        }
    }
}
