//! Tables for other programs, as RFC 4180 says: commas, quotes where they are needed, CRLF.
//!
//! Characters that could drive a terminal are escaped here as well, newlines and tabs in quotes
//! excepted: a CSV file is often looked at with `cat`. `--json` has every text as it is.

use std::fmt::Display;

/// One line with its end.
pub(crate) fn record<T: Display>(fields: impl IntoIterator<Item = T>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|f| field(&f.to_string())).collect();
    fields.join(",") + "\r\n"
}

fn field(text: &str) -> String {
    let text = mv_graph::escape_multiline(text);
    if text.contains([',', '"', '\n']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stand_where_the_format_needs_them() {
        assert_eq!(record(["a", "1.5", ""]), "a,1.5,\r\n");
        assert_eq!(
            record(["a,b", "say \"x\"", "two\nlines"]),
            "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\r\n"
        );
    }

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(record(["a\u{1b}[2J\u{202e}"]), "a\\x1b[2J\\u{202e}\r\n");
        assert_eq!(record(["a\r\nb"]), "\"a\\r\nb\"\r\n");
    }
}
