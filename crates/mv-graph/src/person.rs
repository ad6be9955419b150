//! [`Person`]: who made a version, a tag or a change.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::line::check_line;
use crate::wire;

/// Bytes of the longest name and the longest address.
const MAX: usize = 1024;

/// A name and an address; at least one of the two is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person {
    /// As the person writes it.
    #[serde(deserialize_with = "wire::text")]
    pub name: String,
    /// The mail address, possibly empty.
    #[serde(deserialize_with = "wire::text")]
    pub email: String,
}

impl Person {
    /// Parses `A B <a@b>`, `A B` or `<a@b>`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for unmatched angle brackets and what [`Person::validate`] refuses.
    pub fn parse(text: &str) -> Result<Person> {
        check_line("person", text, 2 * MAX)?;
        let text = text.trim();
        let (name, email) = match text.split_once('<') {
            None => (text, ""),
            Some((name, rest)) => {
                let email = rest.strip_suffix('>').ok_or_else(|| unbalanced(text))?;
                (name.trim_end(), email.trim())
            }
        };
        let person = Person { name: name.to_owned(), email: email.to_owned() };
        person.validate().map(|()| person)
    }

    /// Refuses a person without name and address, control characters and angle brackets.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        for part in [&self.name, &self.email] {
            check_line("person", part, MAX)?;
            if part.contains(['<', '>']) {
                return Err(unbalanced(part));
            }
        }
        if self.name.is_empty() && self.email.is_empty() {
            return Err(Error::invalid("person", "neither a name nor an address"));
        }
        Ok(())
    }
}

fn unbalanced(text: &str) -> Error {
    Error::invalid("person", format!("`{text}` is not of the form `Name <address>`"))
}

impl FromStr for Person {
    type Err = Error;

    fn from_str(text: &str) -> Result<Person> {
        Person::parse(text)
    }
}

impl fmt::Display for Person {
    /// The form that [`Person::parse`] reads. Not escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.email.as_str()) {
            (name, "") => f.write_str(name),
            ("", email) => write!(f, "<{email}>"),
            (name, email) => write!(f, "{name} <{email}>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_spellings_are_read_and_written_back() {
        for (text, name, email) in [
            ("Ada Lovelace <ada@example.org>", "Ada Lovelace", "ada@example.org"),
            ("Ada", "Ada", ""),
            ("<ada@example.org>", "", "ada@example.org"),
            ("Zoë 模型 <z@ü.de>", "Zoë 模型", "z@ü.de"),
        ] {
            let person: Person = text.parse().unwrap();
            assert_eq!((person.name.as_str(), person.email.as_str()), (name, email));
            assert_eq!(person.to_string(), text);
        }
        assert_eq!(Person::parse("  A  <  a@b > ").unwrap().to_string(), "A <a@b>");
    }

    #[test]
    fn malformed_and_hostile_ones_are_refused() {
        let long = "x".repeat(2000);
        for text in [
            "",
            " ",
            "<>",
            "A <a",
            "A >a<",
            "A <a> b",
            "A\x1b[1m <a@b>",
            "A\n<a@b>",
            "A <<a>>",
            &long,
        ] {
            assert!(Person::parse(text).is_err(), "{text:?}");
        }
    }
}
