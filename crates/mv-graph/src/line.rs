//! Texts of one line that are stored: names of people, operations, models.
//!
//! They are checked where they enter and again where they are decoded: no control characters, a
//! bounded length. Anything else printable is somebody's name.

use crate::error::{Error, Result};
use crate::escape::escape;

/// Refuses control characters and more than `max` bytes.
pub(crate) fn check_line(what: &'static str, text: &str, max: usize) -> Result<()> {
    if text.len() > max {
        return Err(Error::invalid(what, format!("it is longer than {max} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(what, format!("`{text}` has a control character")));
    }
    Ok(())
}

/// Makes any text fit [`check_line`]: escaped, and cut at a character when it is too long.
pub(crate) fn to_line(text: &str, max: usize) -> String {
    let mut line = escape(text.trim());
    if line.len() > max {
        line.truncate(line.floor_char_boundary(max - "…".len()));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_made_to_fit_passes_the_check() {
        for text in ["commit", "a\nb\x1b[1m", &"ü".repeat(900)] {
            check_line("operation", &to_line(text, 1024), 1024).unwrap();
        }
        assert_eq!(to_line("tag v1", 1024), "tag v1");
    }

    #[test]
    fn control_characters_and_excess_length_are_refused() {
        assert!(check_line("name", "a\u{9b}b", 10).is_err());
        assert!(check_line("name", "a\n", 10).is_err());
        assert!(check_line("name", "12345678901", 10).is_err());
    }
}
