//! Nested values as a flat list: `{"train": {"layers": [64, 32]}}` is `train.layers.0 = 64` and
//! `train.layers.1 = 32`.
//!
//! The values are taken from any self-describing format as it is parsed; no tree of them is ever
//! built. Nulls and empty lists and tables give nothing. What a version could not hold is refused.

use std::collections::HashSet;
use std::fmt;

use mv_graph::{Scalar, escape};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Values of one kind that a version takes from files.
pub const MAX_VALUES: usize = 4096;
/// Bytes of their names and texts: two kinds fit into a manifest's 1 MiB.
pub const MAX_BYTES: usize = 448 << 10;
/// Lists and tables in one another.
const MAX_DEPTH: usize = 64;
/// Bytes of a name, as in a manifest.
const MAX_NAME: usize = 1024;
/// Entries of tables and lists in one file, also those that give no value.
const MAX_ENTRIES: usize = 1 << 16;
/// The key under which the TOML parser hands over a date.
const TOML_DATE: &str = "$__toml_private_datetime";

/// The values of one file as they come.
#[derive(Default)]
pub(super) struct Flat {
    pairs: Vec<(String, Scalar)>,
    /// The name of what is being read, as far as it is known.
    name: String,
    bytes: usize,
    depth: usize,
    entries: usize,
}

impl Flat {
    /// Where a parser puts what it finds.
    pub(super) fn node(&mut self) -> Node<'_> {
        Node(self)
    }

    /// All values, by name.
    ///
    /// # Errors
    /// A name that is there twice, such as `a.b` beside a `b` in `a`.
    pub(super) fn finish(mut self) -> Result<Vec<(String, Scalar)>, String> {
        self.pairs.sort_by(|a, b| a.0.cmp(&b.0));
        match self.pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(format!("`{}` is there twice", escape(&pair[0].0))),
            None => Ok(self.pairs),
        }
    }

    fn put(&mut self, value: Scalar) -> Result<(), String> {
        if self.depth == 0 {
            return Err("it holds a single value without a name".to_owned());
        }
        if self.name.is_empty() {
            return Err("a name is empty".to_owned());
        }
        if self.name.chars().any(char::is_control) {
            return Err(format!("the name `{}` has a control character", escape(&self.name)));
        }
        let text = if let Scalar::Text(text) = &value { text.len() } else { 8 };
        self.bytes = self.bytes.saturating_add(self.name.len()).saturating_add(text);
        if self.pairs.len() == MAX_VALUES {
            return Err(format!("it has more than {MAX_VALUES} values"));
        }
        if self.bytes > MAX_BYTES {
            return Err(format!("its values have more than {MAX_BYTES} bytes"));
        }
        self.pairs.push((self.name.clone(), value));
        Ok(())
    }

    /// Goes one name deeper; gives the length to come back to.
    fn enter(&mut self, name: &str) -> Result<usize, String> {
        let before = self.name.len();
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(format!("it has more than {MAX_ENTRIES} entries"));
        }
        if before + 1 + name.len() > MAX_NAME {
            return Err(format!("a name is longer than {MAX_NAME} bytes"));
        }
        if self.depth > 1 {
            self.name.push('.');
        }
        self.name.push_str(name);
        Ok(before)
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(())
    }
}

/// A place for one value, list or table.
pub(super) struct Node<'a>(&'a mut Flat);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a table")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.put(Scalar::Bool(value)).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.put(Scalar::Int(value)).map_err(E::custom)
    }

    /// A whole number of more than 63 bits is kept as text: a float would lose digits.
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let value =
            i64::try_from(value).map_or_else(|_| Scalar::Text(value.to_string()), Scalar::Int);
        self.0.put(value).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.put(Scalar::float(value)).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let value = super::json::number_in_disguise(value)
            .map_or_else(|| Scalar::Text(value.to_owned()), Scalar::float);
        self.0.put(value).map_err(E::custom)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.deeper().map_err(A::Error::custom)?;
        for index in 0usize.. {
            let before = self.0.enter(&index.to_string()).map_err(A::Error::custom)?;
            let more = items.next_element_seed(Node(self.0))?;
            self.0.name.truncate(before);
            if more.is_none() {
                break;
            }
        }
        self.0.depth -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        self.0.deeper().map_err(A::Error::custom)?;
        while let Some(key) = entries.next_key_seed(Key)? {
            if key == TOML_DATE && seen.is_empty() {
                self.0.depth -= 1;
                return entries.next_value_seed(Node(self.0));
            }
            let before = self.0.enter(&key).map_err(A::Error::custom)?;
            if !seen.insert(key) {
                let twice = format!("`{}` is there twice", escape(&self.0.name));
                return Err(A::Error::custom(twice));
            }
            entries.next_value_seed(Node(self.0))?;
            self.0.name.truncate(before);
        }
        self.0.depth -= 1;
        Ok(())
    }
}

/// A key as text: YAML has keys that are numbers.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bool<E: Error>(self, key: bool) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_i64<E: Error>(self, key: i64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_u64<E: Error>(self, key: u64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_f64<E: Error>(self, key: f64) -> Result<String, E> {
        Ok(Scalar::float(key).to_string())
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
    }
}
