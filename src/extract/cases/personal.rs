//! The tripwire: does a label look like something about a person?
//!
//! It is a second line of defence. The first is that columns with names and free text are never read. So it is tuned
//! to stay silent on labels of cases and services: what it reports is worth stopping a pull for. It knows common given
//! names, not all names, and a surname alone is no find.

mod names;
mod plain;
mod tokens;

use std::fmt;

use chrono::{Datelike, Months, NaiveDate};

pub(super) use plain::plain;
use tokens::{Token, tokens};

/// What a text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Email,
    Phone,
    SocialSecurity,
    BirthDate,
    PersonName,
    FreeText,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Kind::Email => "an e-mail address",
            Kind::Phone => "a phone number",
            Kind::SocialSecurity => "a social security number",
            Kind::BirthDate => "a date of birth",
            Kind::PersonName => "a person's name",
            Kind::FreeText => "free text",
        })
    }
}

/// A label is shorter than this, and has fewer words.
const LONGEST_LABEL: usize = 160;
const MOST_WORDS: usize = 25;
/// A full date this many months old or older is more likely a day of birth than a day of business.
const OLD: Months = Months::new(36);
/// Area codes that belong to lines that anyone may call for free.
const TOLL_FREE: [&str; 8] = ["800", "833", "844", "855", "866", "877", "888", "822"];
/// How the name of a host ends, mostly.
const USUAL_ENDS: [&str; 8] = ["com", "org", "net", "edu", "gov", "mil", "us", "io"];
/// Words that make of any date a date of birth.
const BIRTH: [&str; 6] = ["dob", "born", "birth", "birthdate", "birthday", "bday"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// What a text looks like, if like anything of the kind; `as_of` tells old dates from new ones. It is looked at as it
/// would be read: more blanks, or other signs for the same, hide nothing.
pub fn find(text: &str, as_of: NaiveDate) -> Option<Kind> {
    // What cannot be seen may stand inside a word, or between two.
    let looked_at = ["", " "].iter().find_map(|unseen| look(&plain(text, unseen), as_of));
    looked_at.or_else(|| has_lines(text).then_some(Kind::FreeText))
}

fn look(text: &str, as_of: NaiveDate) -> Option<Kind> {
    let tokens = tokens(text);
    let tests: [(Kind, bool); 6] = [
        (Kind::Email, is_email(text)),
        (Kind::SocialSecurity, is_social_security(text, &tokens)),
        (Kind::Phone, is_phone(&tokens)),
        (Kind::BirthDate, is_birth_date(&tokens, as_of)),
        (Kind::PersonName, names::is_name(&tokens)),
        (Kind::FreeText, is_long(text)),
    ];
    tests.into_iter().find(|(_, found)| *found).map(|(kind, _)| kind)
}

/// `someone@host.example` anywhere in the text; with blanks beside the `@` where the end of the host is a usual one.
fn is_email(text: &str) -> bool {
    text.match_indices('@').any(|(at, sign)| {
        let (before, after) = (&text[..at], &text[at + sign.len()..]);
        let is_apart = before.ends_with(' ') || after.starts_with(' ');
        let in_a_host = |letter: &char| letter.is_alphanumeric() || matches!(letter, '-' | '.');
        let domain: String = after.trim_start().chars().take_while(in_a_host).collect();
        let Some((host, top)) = domain.trim_end_matches(['.', '-']).rsplit_once('.') else { return false };
        before.trim_end().ends_with(|letter: char| letter.is_alphanumeric() || "._%+-".contains(letter))
            && host.contains(char::is_alphanumeric)
            && top.chars().count() >= 2
            && top.chars().all(char::is_alphabetic)
            && (!is_apart || USUAL_ENDS.contains(&top.to_lowercase().as_str()))
    })
}

/// `123-45-6789`; nine digits alone, or after a word that says what they are.
fn is_social_security(text: &str, tokens: &[Token<'_>]) -> bool {
    let possible = |digits: &str| {
        let (area, rest) = digits.split_at(3);
        let (group, serial) = rest.split_at(2);
        area != "000" && group != "00" && serial != "0000"
    };
    let is_said =
        tokens.iter().any(|token| matches!(token.text.to_lowercase().as_str(), "ssn" | "itin" | "social" | "ss#"));
    // Area numbers 666 and 900 to 999 are never given; the latter are those of taxpayers without one.
    let is_given = |digits: &str| !digits.starts_with("666") && !digits.starts_with('9');
    tokens::windows(tokens, &[3, 2, 4], &["-", "", ".", "/", "_"]).any(|found| {
        let is_dashed = found.iter().skip(1).all(|token| token.mark() == "-");
        let digits: String = found.iter().map(|token| token.text).collect();
        let is_alone = found.len() == tokens.len() && is_given(&digits);
        (is_dashed || is_said || is_alone) && possible(&digits)
    }) || tokens.iter().any(|token| {
        token.is_number()
            && token.text.len() == 9
            && possible(token.text)
            && (is_said || (token.text == text && is_given(token.text)))
    })
}

/// North American numbers with or without separators, and international ones that begin with `+`.
fn is_phone(tokens: &[Token<'_>]) -> bool {
    let subscriber = |area: &str, exchange: &str| {
        let starts = |digits: &str| digits.starts_with(|digit: char| ('2'..='9').contains(&digit));
        starts(area) && starts(exchange) && !TOLL_FREE.contains(&area)
    };
    let grouped = tokens::windows(tokens, &[3, 3, 4], &["-", ".", "", ")", ")-", "/", "_"])
        .any(|found| subscriber(found[0].text, found[1].text));
    let together = tokens.iter().filter(|token| token.is_number()).any(|token| {
        let digits = match token.text.len() {
            11 => token.text.strip_prefix('1').unwrap_or_default(),
            10 => token.text,
            _ => "",
        };
        !digits.is_empty() && subscriber(&digits[..3], &digits[3..6])
    });
    let international = tokens.iter().enumerate().any(|(at, token)| {
        let digits: usize = tokens[at..]
            .iter()
            .enumerate()
            .take_while(|(next, token)| {
                token.is_number() && (*next == 0 || matches!(token.mark().as_str(), "" | "-" | "(" | ")" | "."))
            })
            .map(|(_, token)| token.text.len())
            .sum();
        token.before.ends_with('+')
            && token.is_number()
            && (8..=15).contains(&digits)
            && !token.text.starts_with("1800")
            && !(token.text == "1" && tokens.get(at + 1).is_some_and(|area| TOLL_FREE.contains(&area.text)))
    });
    grouped || together || international
}

/// A full date of years ago, or any full date beside a word of birth.
fn is_birth_date(tokens: &[Token<'_>], as_of: NaiveDate) -> bool {
    let is_said = tokens.iter().enumerate().any(|(at, token)| {
        let word = token.text.to_lowercase();
        // "D.O.B." comes as three letters.
        BIRTH.contains(&word.as_str())
            || (word == "d"
                && tokens.get(at + 1).is_some_and(|token| token.text.eq_ignore_ascii_case("o"))
                && tokens.get(at + 2).is_some_and(|token| token.text.eq_ignore_ascii_case("b")))
    });
    let is_old = |year: i32, month: u32, day: u32| {
        let date = NaiveDate::from_ymd_opt(year, month, day).or_else(|| NaiveDate::from_ymd_opt(year, day, month));
        date.is_some_and(|date| date.year() >= 1900 && date <= as_of && (is_said || date <= as_of - OLD))
    };
    let number = |token: &Token<'_>| token.text.parse::<u32>().unwrap_or_default();
    let between = |one: &Token<'_>, other: &Token<'_>| {
        one.mark() == other.mark() && ["-", "/", ".", "_"].contains(&one.mark().as_str())
    };
    // "5th" is 5.
    let is_ending = |token: &Token<'_>| token.before.is_empty() && ["st", "nd", "rd", "th"].contains(&token.text);
    let tokens: Vec<_> = tokens.iter().copied().filter(|token| !is_ending(token)).collect();
    tokens.windows(3).any(|three| {
        let [one, two, three] = three else { return false };
        let lengths = [one, two, three].map(|token| if token.is_number() { token.text.len() } else { 0 });
        match lengths {
            [4, 1 | 2, 1 | 2] if between(two, three) => is_old(number(one) as i32, number(two), number(three)),
            [1 | 2, 1 | 2, 4] if between(two, three) => is_old(number(three) as i32, number(one), number(two)),
            [1 | 2, 1 | 2, 2] if between(two, three) && is_said => true,
            // "Jan 5, 1980" and "5 January 1980".
            [0, 1 | 2, 4] => month(one).is_some_and(|month| is_old(number(three) as i32, month, number(two))),
            [1 | 2, 0, 4] => month(two).is_some_and(|month| is_old(number(three) as i32, month, number(one))),
            _ => false,
        }
    })
}

fn month(token: &Token<'_>) -> Option<u32> {
    let name = token.text.to_lowercase();
    let number = MONTHS.iter().position(|month| name.starts_with(month))?;
    let is_whole = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ][number]
        .starts_with(&name);
    (is_whole || name == "sept").then_some(number as u32 + 1)
}

/// Longer than a label is.
fn is_long(text: &str) -> bool {
    text.chars().count() > LONGEST_LABEL || text.split(' ').count() > MOST_WORDS
}

/// In several lines.
fn has_lines(text: &str) -> bool {
    text.trim().contains(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'])
}

#[cfg(test)]
mod tests;
