//! A text as words and numbers, each with what stands before it.

/// A word or a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub text: &'t str,
    /// What stands between it and the token before it, or the beginning.
    pub before: &'t str,
}

impl Token<'_> {
    /// What stands before it, without blanks.
    pub fn mark(&self) -> String {
        self.before.replace(' ', "")
    }

    /// Nothing but digits.
    pub fn is_number(&self) -> bool {
        self.text.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Nothing but letters, an apostrophe inside aside.
    pub fn is_word(&self) -> bool {
        self.text.chars().all(|letter| letter.is_alphabetic() || is_apostrophe(letter))
    }

    /// A word that begins with a capital.
    pub fn is_capitalised(&self) -> bool {
        self.is_word() && self.text.starts_with(char::is_uppercase)
    }
}

fn is_apostrophe(letter: char) -> bool {
    matches!(letter, '\'' | '\u{2019}')
}

/// Splits a text at everything that is neither letter nor digit, and between the two, and keeps apostrophes inside
/// words.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    let is_inner = |at: usize| {
        let neighbour =
            |at: Option<usize>| at.and_then(|at| letters.get(at)).is_some_and(|(_, letter)| letter.is_alphabetic());
        let (_, letter) = letters[at];
        letter.is_alphanumeric()
            || (is_apostrophe(letter) && neighbour(at.checked_sub(1)) && neighbour(at.checked_add(1)))
    };
    let is_digit = |at: usize| letters.get(at).is_some_and(|(_, letter)| letter.is_ascii_digit());
    let mut tokens = Vec::new();
    let (mut end_of_last, mut start) = (0, None);
    for at in 0..=letters.len() {
        let offset = letters.get(at).map_or(text.len(), |(offset, _)| *offset);
        let is_inner = at < letters.len() && is_inner(at);
        if let Some(from) = start.filter(|_| !is_inner || is_digit(at) != is_digit(at - 1)) {
            tokens.push(Token { text: &text[from..offset], before: &text[end_of_last..from] });
            (end_of_last, start) = (offset, None);
        }
        if is_inner && start.is_none() {
            start = Some(offset);
        }
    }
    tokens
}

/// Numbers of these lengths in a row, with nothing but blanks and one of these marks between them, that are no part of
/// a longer row of numbers: a blank is no part of one.
pub(super) fn windows<'a, 't>(
    tokens: &'a [Token<'t>],
    lengths: &'a [usize],
    marks: &'a [&'a str],
) -> impl Iterator<Item = &'a [Token<'t>]> {
    let joined = |token: Option<&Token<'t>>| {
        token.is_some_and(|token| token.is_number() && ["-", ".", "/"].contains(&token.before))
    };
    tokens.windows(lengths.len()).enumerate().filter_map(move |(at, found)| {
        let fits = found.iter().zip(lengths).all(|(token, length)| token.is_number() && token.text.len() == *length);
        let between = found.iter().skip(1).all(|token| marks.contains(&token.mark().as_str()));
        // What comes before may be the country's 1.
        let is_inner = at > 0 && joined(Some(&found[0])) && tokens[at - 1].is_number() && tokens[at - 1].text != "1";
        (fits && between && !is_inner && !joined(tokens.get(at + lengths.len()))).then_some(found)
    })
}
