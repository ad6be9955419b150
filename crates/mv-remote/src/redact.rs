//! What a server or a library says, made fit to be shown: one line, short, without control
//! characters and without anything that looks like a secret. What looks like one and is not is lost
//! as well; that is the better mistake.

/// The longest text that is passed on, in characters.
const MOST: usize = 300;

/// What stands in a secret's place.
const HIDDEN: &str = "[hidden]";

/// Words before `=` or `:` whose value is hidden, in lower case.
const SECRET_WORDS: [&str; 9] = [
    "accesskey",
    "access_key",
    "credential",
    "password",
    "secret",
    "signature",
    "token",
    "authorization",
    "x-amz-security",
];

/// Knows the secrets of one remote, so that their values are found wherever they turn up.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Hides these values besides all that looks like a secret.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Redactor {
        let mut secrets: Vec<String> = secrets.into_iter().filter(|s| s.len() >= 4).collect();
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        Redactor { secrets }
    }

    /// The text, fit to be shown.
    pub(crate) fn clean(&self, text: &str) -> String {
        // Far more than is shown, and little enough that a hostile text costs nothing.
        let text: String = text.chars().take(64 * MOST).collect();
        let mut text = without_escapes(&text);
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), HIDDEN);
        }
        let mut line = String::new();
        let mut hide_next = false;
        for word in text.split_whitespace() {
            let shown = if hide_next { HIDDEN.to_owned() } else { clean_word(word) };
            let lower = word.to_ascii_lowercase();
            let names_secret = SECRET_WORDS.iter().any(|s| lower.contains(s));
            hide_next = ["bearer", "basic"].contains(&lower.as_str())
                || (names_secret && lower.ends_with([':', '=']));
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&shown);
            if line.chars().count() > MOST {
                break;
            }
        }
        if line.chars().count() > MOST {
            line = line.chars().take(MOST - 1).chain(['…']).collect();
        }
        line
    }
}

/// Drops terminal sequences whole and turns other control characters, and those that change the
/// direction of text, into spaces.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                while chars.peek().is_some_and(|c| matches!(c, ' '..='?')) {
                    chars.next();
                }
                chars.next();
            }
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                plain.push(' ');
            }
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

/// One word without user info, query, or the value of a secret.
fn clean_word(word: &str) -> String {
    let mut word = word.to_owned();
    if let Some(at) = word.find("://") {
        let from = at + 3;
        let end = word[from..].find(['/', '?', '#']).map_or(word.len(), |n| from + n);
        if let Some(user) = word[from..end].rfind('@') {
            word.replace_range(from..=from + user, "");
        }
    }
    if let Some(query) = word.find('?')
        && word[query..].contains('=')
    {
        word.truncate(query);
    }
    let lower = word.to_ascii_lowercase();
    for secret in SECRET_WORDS {
        if let Some(at) = lower.find(secret)
            && let Some(sign) = lower[at..].find(['=', ':', '>'])
        {
            word.truncate(at + sign + 1);
            word.push_str(HIDDEN);
            return word;
        }
    }
    if looks_random(&word) { HIDDEN.to_owned() } else { word }
}

/// Whether a run of 32 characters or more in the word is what keys and tokens are made of. Hex is
/// not: ids of objects are.
fn looks_random(word: &str) -> bool {
    let of_key = |c: char| c.is_ascii_alphanumeric() || "+=_-".contains(c);
    word.split(|c| !of_key(c)).any(|run| {
        run.len() >= 32
            && !run.chars().all(|c| c.is_ascii_hexdigit())
            && run.chars().any(|c| c.is_ascii_digit())
            && run.chars().any(|c| c.is_ascii_uppercase())
            && run.chars().any(|c| c.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_turn_up() {
        let redactor = Redactor::new(["hunter22".to_owned(), "AKIAEXAMPLE".to_owned()]);
        for text in [
            "https://user:pass99@host/x?X-Amz-Signature=abcdef failed",
            "key AKIAEXAMPLE and hunter22",
            "<AWSAccessKeyId>AKIAOTHER1</AWSAccessKeyId>",
            "Authorization: Bearer pass99",
            "token=pass99",
            "got wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYx back",
        ] {
            let shown = redactor.clean(text);
            for secret in ["pass99", "hunter22", "AKIAEXAMPLE", "AKIAOTHER1", "abcdef", "wJalr"] {
                assert!(!shown.contains(secret), "{text}: {shown}");
            }
        }
    }

    #[test]
    fn what_is_said_stays_on_one_short_line_without_control_characters() {
        let said = format!("a\r\nb\u{1b}[31mc\u{7}d\u{202e} {}", "word ".repeat(1000));
        let shown = Redactor::default().clean(&said);
        assert!(shown.starts_with("a bc d word"), "{shown}");
        assert!(shown.chars().count() <= MOST && !shown.contains(char::is_control));
    }

    #[test]
    fn names_of_objects_stay_readable() {
        let name = format!("packs/ab/{}", "0123456789abcdef".repeat(4));
        assert_eq!(Redactor::default().clean(&name), name);
    }
}
