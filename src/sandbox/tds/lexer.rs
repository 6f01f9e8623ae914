//! Cuts SQL text into the few kinds of token the grammar knows.

use super::error::SqlError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A bare word: keywords and unquoted names alike.
    Word(String),
    /// `[name]`, with `]]` already undone.
    Quoted(String),
    Number(u64),
    /// `@P1`, with the @.
    Variable(String),
    /// `'text'`, with `''` already undone.
    Text(String),
    Symbol(&'static str),
}

impl Token {
    /// As an error message quotes it.
    pub(crate) fn text(&self) -> String {
        match self {
            Token::Word(text) | Token::Quoted(text) | Token::Variable(text) | Token::Text(text) => text.clone(),
            Token::Number(number) => number.to_string(),
            Token::Symbol(symbol) => (*symbol).to_owned(),
        }
    }
}

/// Longer ones first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 14] = ["<=", ">=", "<>", "<", ">", "=", ",", ".", "(", ")", "*", ";", "-", "+"];

pub(crate) fn tokens(sql: &str) -> Result<Vec<Token>, SqlError> {
    let mut out = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(first) = rest.chars().next() {
        let token;
        if first == '[' {
            let (name, after) = quoted(&rest[1..], ']')?;
            token = Token::Quoted(name);
            rest = after;
        } else if first == '\'' {
            let (text, after) = quoted(&rest[1..], '\'')?;
            token = Token::Text(text);
            rest = after;
        } else if first == '@' || first == '_' || first.is_alphabetic() {
            let (word, after) = split(rest, |c| c.is_alphanumeric() || matches!(c, '_' | '@' | '$' | '#'));
            token = if first == '@' { Token::Variable(word.into()) } else { Token::Word(word.into()) };
            rest = after;
        } else if first.is_ascii_digit() {
            let (digits, after) = split(rest, |c| c.is_ascii_digit());
            token = Token::Number(digits.parse().map_err(|_| SqlError::syntax(digits))?);
            rest = after;
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            token = Token::Symbol(symbol);
            rest = &rest[symbol.len()..];
        } else {
            return Err(SqlError::syntax(first));
        }
        out.push(token);
        rest = rest.trim_start();
    }
    Ok(out)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// Up to the closing mark; doubled it stands for itself.
fn quoted(text: &str, mark: char) -> Result<(String, &str), SqlError> {
    let mut name = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != mark {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == mark).is_some() {
            name.push(mark);
        } else {
            return Ok((name, &text[at + 1..]));
        }
    }
    Err(SqlError::new(105, 1, 15, format!("Unclosed quotation mark after the character string '{name}'.")))
}
