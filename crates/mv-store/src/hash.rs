//! Object ids: the BLAKE3 of an object's bytes.
//!
//! Blobs and chunks use plain BLAKE3, so `b3sum FILE` prints a file's id. Trees, manifests and
//! list nodes use `derive_key` with a context of their own, so no file can pose as one.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 32 bytes of BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// All zero bytes: stands for "none" where a hash is required.
    pub const ZERO: Hash = Hash([0; 32]);

    /// 64 lower-case hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text
    }

    /// The first 12 hex digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_hex();
        text.truncate(12);
        text
    }

    /// Parses exactly 64 hex digits of either case.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Hash> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Hash(bytes))
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for Hash {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<Hash> {
        Hash::from_hex(text).ok_or_else(|| crate::Error::Invalid {
            what: "id",
            detail: format!("`{text}` is not 64 hex digits"),
        })
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&self.to_hex())
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Hash::from_hex(&text).ok_or_else(|| D::Error::custom("not 64 hex digits"))
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Hash)
        }
    }
}

/// What an object's bytes are, which decides how they are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A file's content, a chunk of one, or any other plain bytes.
    Blob,
    /// One directory.
    Tree,
    /// One version.
    Manifest,
    /// An inner node of a long chunk list.
    List,
}

impl Kind {
    /// The number stored in packs.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Kind::Blob => 0,
            Kind::Tree => 1,
            Kind::Manifest => 2,
            Kind::List => 3,
        }
    }

    /// The kind of a stored number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Kind> {
        [Kind::Blob, Kind::Tree, Kind::Manifest, Kind::List].into_iter().find(|k| k.code() == code)
    }

    /// The `derive_key` context; none for blobs.
    fn context(self) -> Option<&'static str> {
        match self {
            Kind::Blob => None,
            Kind::Tree => Some("mv 2026 tree v1"),
            Kind::Manifest => Some("mv 2026 manifest v1"),
            Kind::List => Some("mv 2026 list v1"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Blob => "blob",
            Kind::Tree => "tree",
            Kind::Manifest => "manifest",
            Kind::List => "list",
        })
    }
}

/// The id of an object. About 3 GB/s a core.
#[must_use]
pub fn id_of(kind: Kind, bytes: &[u8]) -> Hash {
    match kind.context() {
        None => Hash(*blake3::hash(bytes).as_bytes()),
        Some(context) => Hash(blake3::derive_key(context, bytes)),
    }
}

/// The id of a blob whose bytes come in pieces.
#[derive(Clone, Default)]
pub struct BlobHasher(blake3::Hasher);

impl BlobHasher {
    /// A hasher that has seen no bytes.
    #[must_use]
    pub fn new() -> BlobHasher {
        BlobHasher::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds bytes, hashed on all cores: pays from about 256 KiB.
    pub fn update_parallel(&mut self, bytes: &[u8]) {
        if bytes.len() < 256 * 1024 {
            self.0.update(bytes);
        } else {
            self.0.update_rayon(bytes);
        }
    }

    /// The id of all bytes so far.
    #[must_use]
    pub fn finish(&self) -> Hash {
        Hash(*self.0.finalize().as_bytes())
    }
}

/// The first 4 to 64 hex digits of an id, as a user types them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashPrefix {
    digits: usize,
    low: Hash,
}

impl HashPrefix {
    /// Parses 4 to 64 hex digits; none for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<HashPrefix> {
        if !(4..=64).contains(&text.len()) || !text.is_ascii() {
            return None;
        }
        let low = Hash::from_hex(&format!("{text:0<64}"))?;
        Some(HashPrefix { digits: text.len(), low })
    }

    /// Whether the id begins with these digits.
    #[must_use]
    pub fn matches(&self, id: &Hash) -> bool {
        let whole = self.digits / 2;
        id.0[..whole] == self.low.0[..whole]
            && (self.digits.is_multiple_of(2) || id.0[whole] >> 4 == self.low.0[whole] >> 4)
    }

    /// The smallest id with this prefix.
    #[must_use]
    pub fn low(&self) -> &Hash {
        &self.low
    }
}

/// 16 bytes that make a pack, a record or a temporary name unique.
pub type Nonce = [u8; 16];

/// A source of nonces from one seed, so that the caller decides between chance and repeatability.
#[derive(Debug)]
pub struct Nonces {
    seed: [u8; 32],
    used: AtomicU64,
}

impl Nonces {
    /// Nonces that follow from the seed alone.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Nonces {
        Nonces { seed, used: AtomicU64::new(0) }
    }

    /// Another source, whose nonces nobody else gives.
    #[must_use]
    pub fn branch(&self) -> Nonces {
        let (left, right) = (self.next(), self.next());
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(&left);
        seed[16..].copy_from_slice(&right);
        Nonces::from_seed(seed)
    }

    /// A nonce that this source has not given before.
    pub fn next(&self) -> Nonce {
        let turn = self.used.fetch_add(1, Ordering::Relaxed);
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&turn.to_le_bytes());
        let mut nonce = Nonce::default();
        hasher.finalize_xof().fill(&mut nonce);
        nonce
    }
}

/// Lower-case hex of a nonce, for file names.
#[must_use]
pub fn nonce_hex(nonce: &Nonce) -> String {
    let mut whole = [0; 32];
    whole[..16].copy_from_slice(nonce);
    let mut text = Hash(whole).to_hex();
    text.truncate(32);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_id_is_plain_blake3() {
        assert_eq!(
            id_of(Kind::Blob, b"").to_hex(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn the_same_bytes_have_another_id_in_each_kind() {
        let ids = [Kind::Blob, Kind::Tree, Kind::Manifest, Kind::List].map(|k| id_of(k, b"x"));
        for (i, id) in ids.iter().enumerate() {
            assert!(!ids[..i].contains(id));
        }
    }

    #[test]
    fn hex_survives_the_round_trip_and_refuses_all_else() {
        let id = id_of(Kind::Blob, b"abc");
        assert_eq!(Hash::from_hex(&id.to_hex()), Some(id));
        assert_eq!(Hash::from_hex(&id.to_hex()[1..]), None);
        assert_eq!(Hash::from_hex(&"g".repeat(64)), None);
        assert_eq!(Hash::from_hex(&"é".repeat(32)), None);
    }

    #[test]
    fn a_prefix_of_odd_length_compares_half_a_byte() {
        let id = Hash::from_hex(&format!("abcde{}", "0".repeat(59))).unwrap();
        assert!(HashPrefix::parse("ABCDE").unwrap().matches(&id));
        assert!(!HashPrefix::parse("abcdf").unwrap().matches(&id));
        assert!(HashPrefix::parse("abc").is_none());
        assert!(HashPrefix::parse("+abc").is_none());
    }

    #[test]
    fn one_seed_gives_one_series_of_nonces() {
        let (a, b) = (Nonces::from_seed([7; 32]), Nonces::from_seed([7; 32]));
        let first = a.next();
        assert_eq!(first, b.next());
        assert_ne!(first, a.next());
    }
}
