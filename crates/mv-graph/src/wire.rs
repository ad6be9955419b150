//! The canonical encoding of trees, manifests, state records and ledger entries, and the only user of bincode.
//!
//! ```text
//! magic     4 bytes    MVtr  MVma  MVst  MVld
//! version   u8         1
//! body                 the fields in order, as bincode 2 `standard()` writes them:
//!                      integers as little-endian varints (signed ones zigzag), counts and lengths
//!                      as varints before their items, an option as 0 or 1 and its value, a variant
//!                      as its number, 32-byte hashes and 16-byte nonces as they are
//! seal      32 bytes   state records only: the BLAKE3 of everything before
//! ```
//!
//! One value has one byte string: [`decode`] encodes what it read and compares, so an over-long
//! varint or trailing bytes are refused. What the types themselves forbid (order, duplicates,
//! names, limits) is their [`Wire::validate`], which runs before encoding and after decoding.
//!
//! Hostile lengths: texts and byte strings are borrowed from the input before they are copied, so
//! a claimed length is compared with what is left before anything is allocated. Sequences grow as
//! their items are read (serde reserves at most 1 MiB ahead), and every item takes at least a byte.

use std::fmt;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use mv_store::{Hash, Kind, id_of};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The version of every encoding below; a new one gets a new number and keeps the old reader.
const VERSION: u8 = 1;
const HEADER: usize = 5;
const SEAL: usize = 32;

/// A type with a canonical encoding.
pub(crate) trait Wire: Serialize + for<'de> Deserialize<'de> {
    /// The first four bytes.
    const MAGIC: [u8; 4];
    /// The word for it in messages.
    const WHAT: &'static str;
    /// Bytes of the longest encoding.
    const CAP: usize;
    /// Whether a checksum follows the body, because no id vouches for the bytes.
    const SEALED: bool;

    /// Refuses every value that must not be stored.
    fn validate(&self) -> Result<()>;
}

/// Encodes a value that passes its own validation.
pub(crate) fn encode<T: Wire>(value: &T) -> Result<Vec<u8>> {
    value.validate()?;
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(&T::MAGIC);
    bytes.push(VERSION);
    let mut writer = Append(bytes);
    bincode::serde::encode_into_writer(value, &mut writer, CONFIG)
        .map_err(|e| Error::invalid(T::WHAT, e))?;
    let mut bytes = writer.0;
    if T::SEALED {
        let seal = id_of(Kind::Blob, &bytes);
        bytes.extend_from_slice(&seal.0);
    }
    if bytes.len() > T::CAP {
        return Err(Error::invalid(
            T::WHAT,
            format!("{} bytes, more than the {} allowed", bytes.len(), T::CAP),
        ));
    }
    Ok(bytes)
}

/// Decodes the bytes that [`encode`] gives for some value, and nothing else. `name` is for errors
/// and asked for only then.
pub(crate) fn decode<T: Wire>(bytes: &[u8], name: impl Fn() -> String) -> Result<T> {
    let corrupt = |detail: String| Error::Corrupt { what: T::WHAT, name: name(), detail };
    if bytes.len() > T::CAP {
        return Err(corrupt(format!("{} bytes, more than the {} allowed", bytes.len(), T::CAP)));
    }
    let (header, rest) =
        bytes.split_at_checked(HEADER).ok_or_else(|| corrupt("it is too short".into()))?;
    if header[..4] != T::MAGIC {
        return Err(corrupt(format!("it does not begin with `{}`", T::MAGIC.escape_ascii())));
    }
    if header[4] != VERSION {
        return Err(Error::Unsupported {
            what: format!("{} version {}", T::WHAT, header[4]),
            name: name(),
        });
    }
    let body = if T::SEALED {
        unseal(bytes, rest).ok_or_else(|| corrupt("its checksum is wrong".into()))?
    } else {
        rest
    };
    let (value, used) = bincode::serde::borrow_decode_from_slice::<T, _>(body, CONFIG)
        .map_err(|e| corrupt(e.to_string()))?;
    if used != body.len() {
        return Err(corrupt(format!("{} bytes follow its end", body.len() - used)));
    }
    bincode::serde::encode_into_writer(&value, Compare(body), CONFIG)
        .map_err(|_| corrupt("it is not in canonical form".into()))?;
    match value.validate() {
        Ok(()) => Ok(value),
        Err(Error::Invalid { what, detail }) => Err(corrupt(format!("invalid {what}: {detail}"))),
        Err(other) => Err(other),
    }
}

/// The body of a sealed record whose checksum is right.
fn unseal<'a>(whole: &[u8], rest: &'a [u8]) -> Option<&'a [u8]> {
    let body = rest.get(..rest.len().checked_sub(SEAL)?)?;
    let (sealed, seal) = whole.split_at_checked(HEADER + body.len())?;
    (id_of(Kind::Blob, sealed).0 == seal).then_some(body)
}

/// bincode's limit counts 8 bytes for a one-byte varint; this is eight times the largest cap. No
/// allocation hangs on it, see the top of this file.
const LIMIT: usize = 8 * (64 << 20);
type Config = Configuration<LittleEndian, Varint, Limit<LIMIT>>;
const CONFIG: Config = bincode::config::standard().with_limit::<LIMIT>();

struct Append(Vec<u8>);

impl Writer for Append {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Compares what is written with what was read, without a second copy.
struct Compare<'a>(&'a [u8]);

impl Writer for Compare<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), EncodeError> {
        // Hashes come byte by byte: no call of `memcmp` for these.
        let rest = match (bytes, self.0) {
            ([byte], [first, rest @ ..]) if byte == first => Some(rest),
            ([_], _) => None,
            _ => self.0.strip_prefix(bytes),
        };
        self.0 = rest.ok_or(EncodeError::Other("not canonical"))?;
        Ok(())
    }
}

/// `deserialize_with` for texts: borrows before it copies.
pub(crate) fn text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<String, D::Error> {
    struct Borrow;
    impl<'de> Visitor<'de> for Borrow {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_str<E>(self, text: &str) -> std::result::Result<String, E> {
            Ok(text.to_owned())
        }
    }
    deserializer.deserialize_str(Borrow)
}

/// [`text`] where it is optional.
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<String>, D::Error> {
    Ok(Option::<Text>::deserialize(deserializer)?.map(|t| t.0))
}

/// [`text`] as the key of a sorted list of pairs.
pub(crate) fn pairs<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<(String, V)>, D::Error> {
    let pairs = Vec::<(Text, V)>::deserialize(deserializer)?;
    Ok(pairs.into_iter().map(|(key, value)| (key.0, value)).collect())
}

/// [`pairs`] whose values are texts as well.
pub(crate) fn text_pairs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<(String, String)>, D::Error> {
    let pairs = pairs::<D, Text>(deserializer)?;
    Ok(pairs.into_iter().map(|(key, value)| (key, value.0)).collect())
}

#[derive(Deserialize)]
struct Text(#[serde(deserialize_with = "text")] String);

/// `serialize_with` and `deserialize_with` for byte strings: borrowed before they are copied.
pub(crate) mod bytes {
    use super::{Deserializer, Visitor, fmt};
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Borrow)
    }
}

/// `serialize_with` and `deserialize_with` for an id that may be absent: then it is 32 zero bytes.
pub(crate) mod id_or_zero {
    use super::{Deserialize, Deserializer, Hash, Serialize};
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(
        id: &Option<Hash>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        id.unwrap_or(Hash::ZERO).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Hash>, D::Error> {
        Ok(Some(Hash::deserialize(deserializer)?).filter(|id| *id != Hash::ZERO))
    }
}

/// Whether items are in strictly ascending order of their keys, so that none is there twice.
pub(crate) fn is_sorted<T, K: Ord + ?Sized>(items: &[T], key: impl Fn(&T) -> &K) -> bool {
    items.windows(2).all(|pair| key(&pair[0]) < key(&pair[1]))
}

/// The id of an encoded object, for errors.
pub(crate) fn name_of(kind: Kind, bytes: &[u8]) -> impl Fn() -> String + '_ {
    move || id_of(kind, bytes).to_hex()
}

/// The hash that links records: the BLAKE3 of their bytes.
pub(crate) fn record_hash(bytes: &[u8]) -> Hash {
    id_of(Kind::Blob, bytes)
}
