//! JSON as Python writes it: with `NaN`, `Infinity` and `-Infinity`, which JSON does not have.
//!
//! Outside of strings the three words are replaced by strings that begin with a NUL, which the
//! parser takes; [`number_in_disguise`] knows them again. Line numbers stay as they are.

use std::borrow::Cow;

const WORDS: [(&str, f64, &str); 3] = [
    ("-Infinity", f64::NEG_INFINITY, "\"\\u0000-Infinity\""),
    ("Infinity", f64::INFINITY, "\"\\u0000Infinity\""),
    ("NaN", f64::NAN, "\"\\u0000NaN\""),
];

/// The text with the words that are no JSON in disguise.
pub(super) fn disguise(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => string_len(rest),
            'N' | 'I' | '-' => match WORDS.iter().find(|(word, ..)| is_word(rest, word)) {
                Some((word, _, disguise)) => {
                    out.push_str(disguise);
                    rest = &rest[word.len()..];
                    continue;
                }
                None => 1,
            },
            // What continues a word is not the beginning of one.
            c if c.is_alphanumeric() => {
                rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (piece, after) = rest.split_at(taken);
        out.push_str(piece);
        rest = after;
    }
    Cow::Owned(out)
}

/// The number that a string stands for.
pub(super) fn number_in_disguise(text: &str) -> Option<f64> {
    let word = text.strip_prefix('\0')?;
    WORDS.iter().find(|(w, ..)| *w == word).map(|(_, number, _)| *number)
}

/// The bytes of the string that a text begins with, quotes included.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_outside_of_strings_change() {
        let text = r#"{"NaN": "Infinity \" NaN", "a": NaN, "b":[-Infinity,Infinity], "c": NaNo, "d": xNaN}"#;
        let expected = r#"{"NaN": "Infinity \" NaN", "a": "\u0000NaN", "b":["\u0000-Infinity","\u0000Infinity"], "c": NaNo, "d": xNaN}"#;
        assert_eq!(disguise(text), expected);
        for same in ["", "\"", "\"NaN", "\"NaN\\", "{\"a\": 1}", "-", "ü NaNü"] {
            assert_eq!(disguise(same), same);
        }
    }

    #[test]
    fn only_the_three_words_are_numbers() {
        assert!(number_in_disguise("\0NaN").is_some_and(f64::is_nan));
        assert_eq!(number_in_disguise("\0-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(number_in_disguise("NaN"), None);
        assert_eq!(number_in_disguise("\0"), None);
    }
}
