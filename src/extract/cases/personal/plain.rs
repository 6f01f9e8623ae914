//! A text as it is read: many signs look like a blank, like a dash, or like nothing at all.

/// The text with single blanks and plain signs, and with `unseen` in place of what cannot be seen.
pub fn plain(text: &str, unseen: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_unseen(letter) {
            true => seen.push_str(unseen),
            false => seen.push(usual(letter)),
        }
    }
    seen.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The sign on a keyboard that a letter stands for.
fn usual(letter: char) -> char {
    match letter {
        // Letters, digits and signs as wide as Chinese ones: all of ASCII, in its order.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(letter as u32 - 0xfee0).unwrap_or(letter),
        // Hyphens that do not break lines, dashes of all lengths, minus.
        '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => '-',
        '\u{b7}' | '\u{2022}' | '\u{2024}' | '\u{2027}' | '\u{2219}' => '.',
        '\u{2044}' | '\u{2215}' => '/',
        '\u{fe6b}' => '@',
        letter => letter,
    }
}

/// Letters that take no room: soft hyphens, joiners, marks of direction, marks that belong to the letter before, and
/// what is left of control characters.
fn is_unseen(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
        || (letter.is_control() && !letter.is_whitespace())
}
