//! `.safetensors`: eight bytes with the length of a JSON header, the header, the tensors.
//!
//! <https://github.com/huggingface/safetensors#format>. The header is an object: the name of a
//! tensor, then `dtype`, `shape` and `data_offsets`, which count from the end of the header.

use std::fmt;

use memchr::memchr2;
use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::budget::Budget;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::listing::{Listing, cut};
use crate::model::{Location, Model, ModelFormat};
use crate::source::Source;
use crate::{MAX_HEADER, MAX_RANK};

const FORMAT: &str = "safetensors";
/// Bytes of a text outside of `__metadata__`, as it is written.
const MAX_TEXT: usize = 64 << 10;

/// Whether the file begins as one: a length that fits, and the brace of an object.
pub(crate) fn looks_like(start: &[u8], size: u64) -> bool {
    let Some((length, rest)) = start.split_first_chunk::<8>() else { return false };
    let length = u64::from_le_bytes(*length);
    length >= 2 && length <= size.saturating_sub(8) && rest.first() == Some(&b'{')
}

/// Lists the tensors, from the header alone.
pub(crate) fn read(source: &dyn Source, mut budget: Budget) -> Result<Model> {
    let size = source.size();
    if size < 8 {
        return Err(Error::malformed(FORMAT, "shorter than the length of its header"));
    }
    let mut length = [0; 8];
    source.read_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    if length > size - 8 {
        return Err(Error::malformed(FORMAT, "the header ends after the file"));
    }
    if length > MAX_HEADER as u64 {
        return Err(Error::Limit { format: FORMAT, what: "the header", limit: MAX_HEADER as u64 });
    }
    budget.take(length as usize)?;
    let header = source.read(8, length as usize)?;
    // A text with escapes is put together in a buffer, which doubles as it grows.
    budget.take(2 * longest_text(&header)?)?;
    let mut headers = Headers {
        data: 8 + length,
        listing: Listing::new(ModelFormat::Safetensors, source, budget),
        failed: None,
    };
    let mut json = serde_json::Deserializer::from_slice(&header);
    let walked = json.deserialize_map(&mut headers).and_then(|()| json.end());
    if let Some(error) = headers.failed {
        return Err(error);
    }
    walked.map_err(|error| Error::malformed(FORMAT, format!("the header: {error}")))?;
    drop(header);
    headers.listing.finish()
}

/// Bytes of the longest text of a header. Refuses long ones that only `__metadata__` may hold: the parser
/// would quote them in its error, escaped.
fn longest_text(header: &[u8]) -> Result<usize> {
    let (mut longest, mut depth, mut in_metadata) = (0, 0_u32, false);
    let mut rest = header;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                let (text, after) = rest.split_at(text_len(rest));
                if depth == 1 {
                    in_metadata = text == b"__metadata__";
                }
                if text.len() > MAX_TEXT && !(in_metadata && depth == 2) {
                    let (what, limit) = ("the length of a text", MAX_TEXT as u64);
                    return Err(Error::Limit { format: FORMAT, what, limit });
                }
                longest = longest.max(text.len());
                rest = after.get(1..).unwrap_or_default();
            }
            _ => {}
        }
    }
    Ok(longest)
}

/// Bytes up to the quote that closes a text.
fn text_len(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr2(b'"', b'\\', &text[at..]) {
        at += found;
        if text[at] == b'"' {
            return at;
        }
        at = (at + 2).min(text.len());
    }
    text.len()
}

/// Takes in the header entry by entry, so that no tree of it is ever held.
struct Headers {
    /// Where the tensors begin.
    data: u64,
    listing: Listing,
    /// Why the walk was ended, when it was not the JSON.
    failed: Option<Error>,
}

impl<'de> Visitor<'de> for &mut Headers {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut described = false;
        while let Some(name) = entries.next_key::<String>()? {
            if name == "__metadata__" {
                if std::mem::replace(&mut described, true) {
                    return Err(A::Error::custom("two entries are called `__metadata__`"));
                }
                entries.next_value_seed(Metadata(self))?;
            } else {
                let added = self.add(name, entries.next_value()?);
                self.go_on(added)?;
            }
        }
        Ok(())
    }
}

impl Headers {
    /// Ends the walk when this failed.
    fn go_on<E: serde::de::Error>(&mut self, added: Result<()>) -> Result<(), E> {
        added.map_err(|error| {
            self.failed = Some(error);
            E::custom("not followed further")
        })
    }

    fn add(&mut self, name: String, entry: Entry) -> Result<()> {
        let [begin, end] = entry.data_offsets;
        let offset = self.data.checked_add(begin);
        let (Some(offset), Some(len)) = (offset, end.checked_sub(begin)) else {
            return Err(Error::malformed(FORMAT, format!("the offsets of tensor `{name}`")));
        };
        let location = Location::Plain { offset, len };
        self.listing.tensor(name, entry.dtype.0, entry.shape.0, location)
    }
}

#[derive(Deserialize)]
struct Entry {
    dtype: Kind,
    shape: Shape,
    data_offsets: [u64; 2],
}

/// The element type.
struct Kind(Dtype);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Kind, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an element type")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Kind, E> {
                Ok(Kind(dtype(name)))
            }
        }
        from.deserialize_str(Name)
    }
}

fn dtype(name: &str) -> Dtype {
    let block = |elements, bytes| Dtype::Block { name: name.to_owned(), elements, bytes };
    match name {
        "BOOL" => Dtype::Bool,
        "U8" => Dtype::U8,
        "I8" => Dtype::I8,
        "U16" => Dtype::U16,
        "I16" => Dtype::I16,
        "U32" => Dtype::U32,
        "I32" => Dtype::I32,
        "U64" => Dtype::U64,
        "I64" => Dtype::I64,
        "F8_E4M3" => Dtype::F8E4M3,
        "F8_E5M2" => Dtype::F8E5M2,
        "F16" => Dtype::F16,
        "BF16" => Dtype::Bf16,
        "F32" => Dtype::F32,
        "F64" => Dtype::F64,
        "C64" => Dtype::C64,
        "F4" => block(2, 1),
        "F6_E2M3" | "F6_E3M2" => block(4, 3),
        "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => block(1, 1),
        other => Dtype::Other(cut(other).to_owned()),
    }
}

/// At most [`MAX_RANK`] dimensions.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Shape, D::Error> {
        struct Dimensions;
        impl<'de> Visitor<'de> for Dimensions {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_RANK} dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
                let mut dimensions = [0; MAX_RANK];
                let mut rank = 0;
                while let Some(dimension) = items.next_element()? {
                    let Some(slot) = dimensions.get_mut(rank) else {
                        return Err(A::Error::custom("too many dimensions"));
                    };
                    *slot = dimension;
                    rank += 1;
                }
                Ok(Shape(dimensions[..rank].to_vec()))
            }
        }
        from.deserialize_seq(Dimensions)
    }
}

/// Takes in what the file says about itself, each value cut.
struct Metadata<'a>(&'a mut Headers);

/// Entries of `__metadata__` that are looked at.
const MAX_METADATA: usize = 4096;

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        for _ in 0..MAX_METADATA {
            let Some((Text(key), Text(value))) = entries.next_entry()? else { return Ok(()) };
            let added = self.0.listing.metadata(&key, &value);
            self.0.go_on(added)?;
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// A text, cut before it is copied.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        struct Cut;
        impl Visitor<'_> for Cut {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(cut(text).to_owned()))
            }
        }
        from.deserialize_str(Cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_model;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 7);
        bytes
    }

    fn refused(header: &str, data: usize) -> String {
        read(&file(header, data), Budget::new(FORMAT)).expect_err("must be refused").to_string()
    }

    #[test]
    fn tensors_and_metadata_come_from_the_header() {
        let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"a":{"dtype":"F8_E4M3","shape":[],"data_offsets":[12,13]}}"#;
        let bytes = file(header, 13);
        let model = read_model("x.safetensors", &bytes).expect("reads").expect("is one");
        let found: Vec<_> =
            model.tensors.iter().map(|t| (t.name.as_str(), &t.dtype, &t.shape[..])).collect();
        assert_eq!(found, [("b", &Dtype::Bf16, &[2, 3][..]), ("a", &Dtype::F8E4M3, &[][..])]);
        let data = 8 + header.len() as u64;
        assert_eq!(model.tensors[1].location, Location::Plain { offset: data + 12, len: 1 });
        assert_eq!(model.metadata, [("format".to_owned(), "pt".to_owned())]);
        assert_eq!(read_model("pytorch_model.bin", &bytes).expect("reads"), Some(model));
    }

    #[test]
    fn a_header_that_does_not_fit_its_file_is_refused() {
        let tensor = |shape: &str, offsets: &str| {
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        assert!(read(&file(&tensor("[2]", "[0,8]"), 8), Budget::new(FORMAT)).is_ok());
        assert!(refused(&tensor("[2]", "[0,8]"), 7).contains("outside the file"));
        assert!(refused(&tensor("[3]", "[0,8]"), 8).contains("shape and type"));
        assert!(refused(&tensor("[2]", "[8,0]"), 8).contains("offsets"));
        assert!(refused(&tensor("[4294967296,4294967296]", "[0,0]"), 0).contains("shape and type"));
        assert!(refused(&tensor("[2]", "[0,18446744073709551615]"), 8).contains("outside"));
        assert!(
            refused(&tensor("[2]", "[18446744073709551608,18446744073709551615]"), 8)
                .contains("offsets")
        );
        let rank = format!("[{}1]", "1,".repeat(MAX_RANK));
        assert!(refused(&tensor(&rank, "[0,4]"), 4).contains("too many dimensions"));
        assert!(refused(r#"{"a":1}"#, 0).contains("header"));
        assert!(refused("{}x", 0).contains("header"));
        let one = r#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
        assert!(refused(&format!("{{{one},{one}}}"), 1).contains("two tensors"));
        let deep = format!(r#"{{"a":{}"#, "[".repeat(100_000));
        assert!(refused(&deep, 0).contains("header"));
        let odd = format!(
            r#"{{"a":{{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{}{}}}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(
            read(&file(&odd, 1), Budget::new(FORMAT)).is_ok(),
            "what is not known is skipped, however deep"
        );
    }

    #[test]
    fn what_only_begins_like_one_is_no_model() {
        let bytes = file("{\"dtype\": 1", 4);
        assert_eq!(read_model("notes.txt", &bytes).expect("no error"), None);
        assert!(read_model("x.safetensors", &bytes).is_err());
        assert!(read_model("x.safetensors", &Vec::new()).is_err());
        assert_eq!(read_model("x.bin", &Vec::new()).expect("no error"), None);
    }
}
