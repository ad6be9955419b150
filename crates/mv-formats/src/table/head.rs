//! [`Head`]: the columns of a text table and where its rows begin; [`Shape`]: the kinds of its columns.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

use memchr::memchr;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::kind::Kind;
use super::records::{Fields, Grammar, Records, trim};
use super::{Bounds, Column, MAX_COLUMNS, MAX_KEY_BYTES, MAX_KEYS, TableFormat};
use crate::error::{Error, Result};
use crate::source::Source;

/// Delimiters that a `.csv` may have, the likelier ones first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Records by which a delimiter is chosen.
const SNIFFED: usize = 100;

/// What the first bytes of a text table say.
pub(super) struct Head {
    /// How the text is divided.
    pub(super) grammar: Grammar,
    /// Whether the columns have names of their own.
    pub(super) named: bool,
    /// Where the first row begins.
    pub(super) body: u64,
    /// The columns, as far as the head shows.
    pub(super) shape: Shape,
}

impl Head {
    /// Reads it. Costs [`Bounds::record`] bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] if this is no text or no JSON, [`Error::Limit`] if the first record is
    /// too long or has too many columns, [`Error::Read`].
    pub(super) fn read(format: TableFormat, source: &dyn Source, bounds: &Bounds) -> Result<Head> {
        let len = source.size().min(bounds.record as u64);
        let bytes = source.read(0, len as usize)?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mark = (bytes.len() - text.len()) as u64;
        let whole = len == source.size();
        if memchr(0, text).is_some() {
            return Err(Error::malformed(
                format.as_str(),
                "zero bytes in what should be UTF-8 text",
            ));
        }
        let grammar = match format {
            TableFormat::JsonLines => Grammar::Lines,
            TableFormat::Tsv => Grammar::Fields { delimiter: b'\t' },
            _ => Grammar::Fields { delimiter: delimiter_of(text, whole) },
        };
        let mut rows = Rows { grammar, rest: text, whole };
        let mut shape = Shape::new(grammar);
        let mut named = true;
        let mut body = mark;
        match (grammar, rows.next()) {
            (_, None) if whole => body = source.size(),
            (_, None) => {
                let limit = bounds.record as u64;
                return Err(Error::Limit {
                    format: format.as_str(),
                    what: "the first line",
                    limit,
                });
            }
            (Grammar::Lines, Some(first)) => {
                serde_json::from_slice::<IgnoredAny>(first).map_err(|e| {
                    Error::malformed(format.as_str(), format!("the first line is not JSON: {e}"))
                })?;
                shape.observe(first)?;
            }
            (Grammar::Fields { delimiter }, Some(first)) => {
                named = shape.name_columns(first, delimiter)?;
                if named {
                    body += (text.len() - rows.rest.len()) as u64;
                }
            }
        }
        for row in rows {
            shape.observe(row)?;
        }
        Ok(Head { grammar, named, body, shape })
    }
}

/// The complete records of the beginning of a text.
struct Rows<'a> {
    grammar: Grammar,
    rest: &'a [u8],
    /// Whether nothing follows.
    whole: bool,
}

impl<'a> Iterator for Rows<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let found = self.grammar.record_len(self.rest);
            let len = found.or(self.whole.then_some(self.rest.len()))?;
            let (record, rest) = self.rest.split_at(len);
            self.rest = rest;
            if !trim(record).is_empty() {
                return Some(trim(record));
            }
        }
        None
    }
}

/// The delimiter under which most of the first records have as many fields as the very first, and
/// more than one.
fn delimiter_of(text: &[u8], whole: bool) -> u8 {
    let mut fields = Fields::default();
    let mut best = (0, 1, DELIMITERS[0]);
    for delimiter in DELIMITERS {
        let mut rows = Rows { grammar: Grammar::Fields { delimiter }, rest: text, whole };
        let Some(first) = rows.next() else { continue };
        fields.split(first, delimiter);
        let width = fields.len();
        let (mut alike, mut all) = (1, 1);
        for row in rows.take(SNIFFED) {
            fields.split(row, delimiter);
            all += 1;
            alike += usize::from(fields.len() == width);
        }
        let (share, widest, _) = best;
        let found = (alike * 100 / all, width, delimiter);
        if width > 1 && (found.0 > share || found.0 == share && width > widest) {
            best = found;
        }
    }
    best.2
}

/// The columns that were seen, and the kinds of their values.
pub(super) struct Shape {
    grammar: Grammar,
    columns: Vec<(String, Kind)>,
    /// Where a key of JSON is among the columns.
    keys: HashMap<String, usize>,
    key_bytes: usize,
    fields: Fields,
}

impl Shape {
    fn new(grammar: Grammar) -> Shape {
        let (keys, fields) = (HashMap::new(), Fields::default());
        Shape { grammar, columns: Vec::new(), keys, key_bytes: 0, fields }
    }

    /// Names the columns after the first record, if it is a header: not if it is all numbers and
    /// dates. Says whether it was.
    fn name_columns(&mut self, first: &[u8], delimiter: u8) -> Result<bool> {
        self.fields.split(first, delimiter);
        let limit = MAX_COLUMNS as u64;
        if self.fields.len() > MAX_COLUMNS {
            return Err(Error::Limit { format: "csv", what: "the number of columns", limit });
        }
        let kinds: Vec<Kind> = self.fields.iter().map(Kind::of_field).collect();
        let value = |k: &Kind| matches!(k, Kind::Int | Kind::Float | Kind::Date | Kind::Timestamp);
        if kinds.iter().all(value) {
            let numbered = kinds.into_iter().zip(1..);
            self.columns = numbered.map(|(kind, n)| (format!("column {n}"), kind)).collect();
            return Ok(false);
        }
        let names = self.fields.iter().map(|field| String::from_utf8_lossy(field).into_owned());
        self.columns = names.map(|name| (name, Kind::Empty)).collect();
        Ok(true)
    }

    /// Looks at the values of one row.
    ///
    /// # Errors
    /// [`Error::Limit`] if objects have had too many different keys.
    pub(super) fn observe(&mut self, row: &[u8]) -> Result<()> {
        match self.grammar {
            Grammar::Fields { delimiter } => {
                self.fields.split(row, delimiter);
                for ((_, kind), field) in self.columns.iter_mut().zip(self.fields.iter()) {
                    // Nothing is wider, and this is the usual kind of long fields.
                    if !matches!(kind, Kind::Text | Kind::Mixed) {
                        *kind = kind.join(Kind::of_field(field));
                    }
                }
            }
            Grammar::Lines => {
                let mut json = serde_json::Deserializer::from_slice(row);
                // A line that is no JSON counts as a row without columns.
                json.deserialize_any(Keys(self)).ok();
                if self.too_many_keys() {
                    let (what, limit) = ("the number of keys", MAX_KEYS as u64);
                    return Err(Error::Limit { format: "json lines", what, limit });
                }
            }
        }
        Ok(())
    }

    /// Looks at all rows of the first bytes of a text.
    ///
    /// # Errors
    /// As [`Shape::observe`], and [`Error::Read`].
    pub(super) fn observe_up_to(
        &mut self,
        source: &dyn Source,
        body: u64,
        bounds: &Bounds,
    ) -> Result<()> {
        let allowance = Cell::new(u64::MAX);
        let mut rows = Records::new(source, self.grammar, body, bounds.record, &allowance);
        while rows.position() < bounds.proof {
            let len = match rows.peek() {
                Ok(0) | Err(Error::Limit { .. }) => break,
                Ok(len) => len,
                Err(e) => return Err(e),
            };
            self.observe(trim(rows.take(len)))?;
        }
        Ok(())
    }

    fn too_many_keys(&self) -> bool {
        self.keys.len() > MAX_KEYS || self.key_bytes > MAX_KEY_BYTES
    }

    fn note_key(&mut self, key: String, kind: Kind) {
        match self.keys.get(&key) {
            Some(&at) => self.columns[at].1 = self.columns[at].1.join(kind),
            None if self.too_many_keys() => {}
            None => {
                self.key_bytes += key.len();
                self.keys.insert(key.clone(), self.columns.len());
                self.columns.push((key, kind));
            }
        }
    }

    /// The columns and their kinds.
    pub(super) fn columns(&self) -> Vec<Column> {
        let shown = |kind: Kind| match (self.grammar, kind) {
            (Grammar::Fields { .. }, Kind::Mixed) => Kind::Text.as_str().to_owned(),
            (_, kind) => kind.as_str().to_owned(),
        };
        self.columns
            .iter()
            .map(|(name, kind)| Column { name: name.clone(), kind: shown(*kind) })
            .collect()
    }
}

/// Notes the keys of an object and the kinds of their values; holds no values.
struct Keys<'a>(&'a mut Shape);

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let KindOf(kind) = map.next_value()?;
            self.0.note_key(key, kind);
        }
        Ok(())
    }
}

/// The kind of a JSON value.
struct KindOf(Kind);

impl<'de> serde::Deserialize<'de> for KindOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KindOf, D::Error> {
        deserializer.deserialize_any(KindVisitor).map(KindOf)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Empty)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Bool)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Int)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Kind, E> {
        Ok(Kind::Int)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Float)
    }

    fn visit_str<E>(self, _: &str) -> Result<Kind, E> {
        Ok(Kind::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Kind::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Kind::Object)
    }
}
