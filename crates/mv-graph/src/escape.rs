//! Stored text on its way to a terminal.
//!
//! Names, messages and authors come out of repositories and may be hostile: control bytes move the
//! cursor, bidirectional controls reorder what is read, invisible characters make twins. All of
//! them become visible ASCII:
//!
//! ```text
//! newline, return, tab          \n  \r  \t
//! other C0 controls and DEL     \x1b
//! C1 controls, bidi, invisible  \u{9b}  \u{202e}  \u{200b}
//! bytes that are not UTF-8      \xff
//! ```
//!
//! A backslash stays as it is, so that ordinary text reads as it was written and escaping twice
//! changes nothing. The price: a name that spells `\x1b` in letters looks like an escaped one.
//! Where that matters (scripts), `--json` and `-z` give the bytes.

use std::fmt::Write as _;

/// Makes text safe for one line of a terminal; printable Unicode stays.
#[must_use]
pub fn escape(text: &str) -> String {
    escape_except(text, &[])
}

/// As [`escape`], for text of several lines: newlines and tabs stay.
#[must_use]
pub fn escape_multiline(text: &str) -> String {
    escape_except(text, &['\n', '\t'])
}

/// As [`escape`], for bytes that need not be UTF-8.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        push_escaped(&mut out, chunk.valid(), &[]);
        for byte in chunk.invalid() {
            push_hex(&mut out, *byte);
        }
    }
    out
}

/// Whether a character must not reach a terminal, or a name that people compare by eye.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn escape_except(text: &str, kept: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text, kept);
    out
}

fn push_escaped(out: &mut String, text: &str, kept: &[char]) {
    for c in text.chars() {
        match c {
            c if !is_unprintable(c) || kept.contains(&c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => match u8::try_from(c) {
                Ok(byte) if byte.is_ascii() => push_hex(out, byte),
                _ => push_code_point(out, c),
            },
        }
    }
}

fn push_hex(out: &mut String, byte: u8) {
    write!(out, "\\x{byte:02x}").expect("writing to a string cannot fail");
}

fn push_code_point(out: &mut String, c: char) {
    write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn printable_text_stays_as_it_is() {
        for text in ["", "plain.txt", "träger 模型 🎉", r"C:\dir", "e\u{301}"] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn controls_bidi_and_invisible_characters_become_visible() {
        assert_eq!(escape("a\x1b[31m\x07\x7f"), r"a\x1b[31m\x07\x7f");
        assert_eq!(escape("a\nb\tc\rd\0"), r"a\nb\tc\rd\x00");
        assert_eq!(escape("\u{9b}2J"), r"\u{9b}2J");
        assert_eq!(
            escape("\u{202e}gpj\u{2066}\u{200b}\u{feff}\u{2028}"),
            r"\u{202e}gpj\u{2066}\u{200b}\u{feff}\u{2028}"
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_one_by_one() {
        assert_eq!(escape_bytes(b"a\xff\xfeb\xc3"), r"a\xff\xfeb\xc3");
        assert_eq!(escape_bytes("ü\u{85}".as_bytes()), r"ü\u{85}");
    }

    #[test]
    fn several_lines_keep_newlines_and_tabs_only() {
        assert_eq!(escape_multiline("a\n\tb\r\x1b"), "a\n\tb\\r\\x1b");
    }

    proptest! {
        #[test]
        fn nothing_unprintable_survives_and_a_second_pass_changes_nothing(bytes: Vec<u8>) {
            let once = escape_bytes(&bytes);
            prop_assert!(!once.chars().any(is_unprintable));
            prop_assert_eq!(escape(&once), once);
        }
    }
}
