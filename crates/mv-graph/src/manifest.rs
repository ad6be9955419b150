//! [`Manifest`]: one version, whole: what it consists of, where it came from, what it scored.
//!
//! ```text
//! parents       count, 32 bytes each          in order, distinct; the first is the branch's own past
//! components    4 x { tree 32 bytes, files varint, bytes varint }      code, data, model, env
//! environment   option, 32 bytes              blob: the captured environment
//! model_name    text
//! params        count x { name text, value }  ascending by name; value: 0 bool, 1 int, 2 float bits, 3 text
//! metrics       as params
//! metadata      count x { name text, text }   ascending by name
//! message       text                          not blank
//! author        { name text, address text }
//! created       { ns zigzag varint, offset in minutes zigzag varint }
//! source        option { vcs text, commit text, branch option text, dirty bool, url option text }
//! ```
//!
//! The framing around it is in `wire.rs`. Limits: 1 MiB without metadata, metadata 8 MiB, message
//! 256 KiB, 64 parents.

use mv_store::{Hash, Kind};
use serde::{Deserialize, Serialize};

use crate::component::{Component, ComponentRef};
use crate::error::{Error, Result};
use crate::line::check_line;
use crate::objects::Objects;
use crate::person::Person;
use crate::scalar::Scalar;
use crate::time::Time;
use crate::wire::{self, Wire};

/// Parents of a merge, at most.
pub const MAX_PARENTS: usize = 64;
/// Bytes of the longest message.
pub const MAX_MESSAGE: usize = 256 << 10;
/// Bytes of all metadata.
pub const MAX_METADATA: usize = 8 << 20;
/// Bytes of a manifest without its metadata.
pub const MAX_MANIFEST: usize = 1 << 20;
/// Bytes of a param's, metric's or metadata name.
const MAX_KEY: usize = 1024;
const MAX_LINE: usize = 4096;

/// Where the code came from, when the project is also a git repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// `git`.
    #[serde(deserialize_with = "wire::text")]
    pub vcs: String,
    /// The commit's id in that system.
    #[serde(deserialize_with = "wire::text")]
    pub commit: String,
    /// The branch, unless detached.
    #[serde(deserialize_with = "wire::optional_text")]
    pub branch: Option<String>,
    /// Whether tracked files differed from that commit.
    pub dirty: bool,
    /// The remote's URL without credentials.
    #[serde(deserialize_with = "wire::optional_text")]
    pub url: Option<String>,
}

/// One version of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The versions that this one continues; none for the first, two or more for a merge.
    pub parents: Vec<Hash>,
    /// The trees, in the order of [`Component::ALL`].
    pub components: [ComponentRef; 4],
    /// The captured environment, a blob of canonical JSON.
    pub environment: Option<Hash>,
    /// The project's or model's name.
    #[serde(deserialize_with = "wire::text")]
    pub model_name: String,
    /// What the training was given; ascending by name.
    #[serde(deserialize_with = "wire::pairs")]
    pub params: Vec<(String, Scalar)>,
    /// What it scored; ascending by name.
    #[serde(deserialize_with = "wire::pairs")]
    pub metrics: Vec<(String, Scalar)>,
    /// Free notes; ascending by name.
    #[serde(deserialize_with = "wire::text_pairs")]
    pub metadata: Vec<(String, String)>,
    /// Why this version was made; not blank.
    #[serde(deserialize_with = "wire::text")]
    pub message: String,
    /// Who made it.
    pub author: Person,
    /// When.
    pub created: Time,
    /// The git commit beside it.
    pub source: Option<Source>,
}

impl Wire for Manifest {
    const MAGIC: [u8; 4] = *b"MVma";
    const WHAT: &'static str = "manifest";
    const CAP: usize = MAX_MANIFEST + MAX_METADATA;
    const SEALED: bool = false;

    fn validate(&self) -> Result<()> {
        Manifest::validate(self)
    }
}

impl Manifest {
    /// Bytes of the longest encoding.
    pub const CAP: u64 = <Manifest as Wire>::CAP as u64;

    /// The canonical bytes.
    ///
    /// # Errors
    /// What [`Manifest::validate`] refuses.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let bytes = wire::encode(self)?;
        self.check_size(bytes.len())?;
        Ok(bytes)
    }

    /// The manifest of canonical bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`].
    pub fn decode(bytes: &[u8]) -> Result<Manifest> {
        decode_named(bytes, wire::name_of(Kind::Manifest, bytes))
    }

    /// Reads and decodes the manifest of this id.
    ///
    /// # Errors
    /// Those of [`Objects::get`] and [`Manifest::decode`].
    pub fn read(objects: &dyn Objects, id: &Hash) -> Result<Manifest> {
        decode_named(&objects.get(Kind::Manifest, id, Manifest::CAP)?, || id.to_hex())
    }

    /// The id of the canonical bytes.
    ///
    /// # Errors
    /// Those of [`Manifest::encode`].
    pub fn id(&self) -> Result<Hash> {
        Ok(mv_store::id_of(Kind::Manifest, &self.encode()?))
    }

    /// One of the four trees.
    #[must_use]
    pub fn component(&self, component: Component) -> &ComponentRef {
        &self.components[component.index()]
    }

    /// Files and bytes of all four components.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let sum = |part: fn(&ComponentRef) -> u64| {
            self.components.iter().map(part).fold(0, u64::saturating_add)
        };
        (sum(|c| c.files), sum(|c| c.bytes))
    }

    /// The value of a param.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&Scalar> {
        lookup(&self.params, name)
    }

    /// The value of a metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&Scalar> {
        lookup(&self.metrics, name)
    }

    /// The first line of the message. Not escaped.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.message.trim_start().lines().next().unwrap_or_default().trim_end()
    }

    /// Refuses every value that must not become a version.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        let refused = |detail: &str| Err(Error::invalid("manifest", detail));
        if self.parents.len() > MAX_PARENTS {
            return refused("it has more than 64 parents");
        }
        for (place, parent) in self.parents.iter().enumerate() {
            if *parent == Hash::ZERO || self.parents[..place].contains(parent) {
                return refused("a parent is there twice or has no id");
            }
        }
        let mut totals = (0u64, 0u64);
        for part in &self.components {
            if part.files == 0 && part.bytes != 0 {
                return refused("a component has bytes without files");
            }
            match totals.0.checked_add(part.files).zip(totals.1.checked_add(part.bytes)) {
                Some(sum) => totals = sum,
                None => return refused("its sizes add up to more than 64 bits"),
            }
        }
        check_line("model name", &self.model_name, MAX_LINE)?;
        check_keys("params", &self.params)?;
        check_keys("metrics", &self.metrics)?;
        check_keys("metadata", &self.metadata)?;
        for (_, value) in self.params.iter().chain(&self.metrics) {
            value.validate()?;
        }
        if metadata_bytes(&self.metadata) > MAX_METADATA {
            return Err(Error::invalid(
                "metadata",
                format!("it is larger than {MAX_METADATA} bytes"),
            ));
        }
        if self.message.trim().is_empty() {
            return Err(Error::invalid("message", "it is empty"));
        }
        if self.message.len() > MAX_MESSAGE {
            return Err(Error::invalid(
                "message",
                format!("it is longer than {MAX_MESSAGE} bytes"),
            ));
        }
        self.author.validate()?;
        self.created.validate()?;
        self.source.as_ref().map_or(Ok(()), Source::validate)
    }

    /// The limit that metadata does not count for.
    fn check_size(&self, encoded: usize) -> Result<()> {
        if encoded.saturating_sub(metadata_bytes(&self.metadata)) > MAX_MANIFEST {
            let detail = format!("it is larger than {MAX_MANIFEST} bytes without its metadata");
            return Err(Error::invalid("manifest", detail));
        }
        Ok(())
    }
}

impl Source {
    /// Refuses control characters and texts without end.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        for text in [Some(&self.vcs), Some(&self.commit), self.branch.as_ref(), self.url.as_ref()]
            .into_iter()
            .flatten()
        {
            check_line("source", text, MAX_LINE)?;
        }
        Ok(())
    }
}

fn decode_named(bytes: &[u8], name: impl Fn() -> String) -> Result<Manifest> {
    let manifest: Manifest = wire::decode(bytes, &name)?;
    manifest.check_size(bytes.len()).map_err(|e| Error::corrupt("manifest", name(), e))?;
    Ok(manifest)
}

fn lookup<'a>(pairs: &'a [(String, Scalar)], name: &str) -> Option<&'a Scalar> {
    let place = pairs.binary_search_by(|(key, _)| key.as_str().cmp(name)).ok()?;
    pairs.get(place).map(|(_, value)| value)
}

fn metadata_bytes(metadata: &[(String, String)]) -> usize {
    metadata.iter().map(|(key, value)| key.len() + value.len()).sum()
}

fn check_keys<V>(what: &'static str, pairs: &[(String, V)]) -> Result<()> {
    if !wire::is_sorted(pairs, |(key, _)| key.as_str()) {
        return Err(Error::invalid(what, "names are not in strictly ascending order"));
    }
    for (key, _) in pairs {
        if key.is_empty() {
            return Err(Error::invalid(what, "a name is empty"));
        }
        check_line(what, key, MAX_KEY)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_hostile_bytes_are_refused, hex};

    fn sample() -> Manifest {
        let part = |n: u8| ComponentRef {
            tree: Hash([n; 32]),
            files: u64::from(n),
            bytes: u64::from(n) * 100,
        };
        Manifest {
            parents: vec![Hash([0xaa; 32]), Hash([0xbb; 32])],
            components: [part(1), part(2), part(3), part(4)],
            environment: Some(Hash([0xcc; 32])),
            model_name: "churn".into(),
            params: vec![("lr".into(), Scalar::float(0.5)), ("n".into(), Scalar::Int(-3))],
            metrics: vec![("ok".into(), Scalar::Bool(true))],
            metadata: vec![("note".into(), "ü".into())],
            message: "baseline".into(),
            author: Person { name: "Ada".into(), email: "a@b".into() },
            created: Time { ns: 1_000_000_000, offset_minutes: -60 },
            source: Some(Source {
                vcs: "git".into(),
                commit: "abc".into(),
                branch: Some("main".into()),
                dirty: true,
                url: None,
            }),
        }
    }

    #[test]
    fn the_bytes_of_a_manifest_never_change() {
        let id = |byte: &str| byte.repeat(32);
        let expected = [
            "4d566d61",
            "01", // magic, version
            "02",
            &id("aa"),
            &id("bb"), // parents
            &id("01"),
            "01",
            "64",
            &id("02"),
            "02",
            "c8", // code, data
            &id("03"),
            "03",
            "fb2c01",
            &id("04"),
            "04",
            "fb9001", // model, env
            "01",
            &id("cc"),      // environment
            "05636875726e", // model name
            "02",
            "026c72",
            "02",
            "fd000000000000e03f",
            "016e",
            "01",
            "05", // params
            "01",
            "026f6b",
            "00",
            "01", // metrics
            "01",
            "046e6f7465",
            "02c3bc",             // metadata
            "08626173656c696e65", // message
            "03416461",
            "03614062", // author
            "fc00943577",
            "77", // created
            "01",
            "03676974",
            "03616263",
            "01046d61696e",
            "01",
            "00", // source
        ]
        .concat();
        let bytes = sample().encode().unwrap();
        assert_eq!(hex(&bytes), expected);
        assert_eq!(Manifest::decode(&bytes).unwrap(), sample());
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let bytes = sample().encode().unwrap();
        let find = |needle: &[u8]| bytes.windows(needle.len()).position(|w| w == needle).unwrap();
        let params = find(b"\x05churn") + 6;
        let lengths = [
            5,                     // parents
            find(b"\x05churn"),    // model name
            params,                // params
            params + 1,            // a param's name
            find(b"\x02ok") - 1,   // metrics
            find(b"\x02ok"),       // a metric's name
            find(b"\x04note") - 1, // metadata
            find(b"\x04note"),     // its name
            find(b"\x02\xc3\xbc"), // its value
            find(b"\x08baseline"), // message
            find(b"\x03Ada"),      // author
            find(b"\x03a@b"),      // address
            find(b"\x03git"),      // source
            find(b"\x03abc"),      // its commit
            find(b"\x04main"),     // its branch
        ];
        assert_hostile_bytes_are_refused(&bytes, &lengths, |b| {
            Manifest::decode(b).map(|m| m.encode().unwrap())
        });
    }

    #[test]
    fn a_text_param_with_a_hostile_length_is_refused() {
        let mut manifest = sample();
        manifest.params = vec![("opt".into(), Scalar::Text("adam".into()))];
        let bytes = manifest.encode().unwrap();
        let place = bytes.windows(5).position(|w| w == b"\x04adam").unwrap();
        assert_hostile_bytes_are_refused(&bytes, &[place], |b| {
            Manifest::decode(b).map(|m| m.encode().unwrap())
        });
    }

    type Change = fn(&mut Manifest);

    #[test]
    fn what_must_not_become_a_version_is_refused() {
        let cases: &[(&str, Change)] = &[
            ("blank message", |m| m.message = " \n".into()),
            ("long message", |m| m.message = "x".repeat(MAX_MESSAGE + 1)),
            ("same parent twice", |m| m.parents[1] = m.parents[0]),
            ("zero parent", |m| m.parents[1] = Hash::ZERO),
            ("too many parents", |m| m.parents = (0..65).map(|n| Hash([n + 1; 32])).collect()),
            ("unsorted params", |m| m.params.reverse()),
            ("repeated metric", |m| m.metrics.push(m.metrics[0].clone())),
            ("empty key", |m| m.metadata[0].0.clear()),
            ("control character in a key", |m| m.metadata[0].0 = "a\x1b".into()),
            ("nobody", |m| m.author = Person { name: String::new(), email: String::new() }),
            ("wild offset", |m| m.created.offset_minutes = 1440),
            ("bytes without files", |m| m.components[0].files = 0),
            ("overflowing sizes", |m| m.components[0].bytes = u64::MAX),
            ("much metadata", |m| m.metadata[0].1 = "x".repeat(MAX_METADATA)),
            ("many params", |m| {
                m.params = (0..60_000).map(|n| (format!("{n:020}"), Scalar::Int(n))).collect();
            }),
            ("control character in the source", |m| {
                m.source.as_mut().unwrap().url = Some("a\nb".into());
            }),
        ];
        for (what, change) in cases {
            let mut manifest = sample();
            change(&mut manifest);
            assert!(matches!(manifest.encode(), Err(Error::Invalid { .. })), "{what}");
        }
    }

    #[test]
    fn metadata_does_not_count_for_the_first_mebibyte() {
        let mut manifest = sample();
        manifest.metadata[0].1 = "x".repeat(4 << 20);
        assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
    }

    #[test]
    fn values_are_found_by_name_and_the_subject_is_the_first_line() {
        let mut manifest = sample();
        manifest.message = "\nbaseline \nmore".into();
        assert_eq!(manifest.subject(), "baseline");
        assert_eq!(manifest.param("n"), Some(&Scalar::Int(-3)));
        assert_eq!(manifest.metric("nope"), None);
        assert_eq!(manifest.totals(), (10, 1000));
    }

    fn scalar() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            any::<bool>().prop_map(Scalar::Bool),
            any::<i64>().prop_map(Scalar::Int),
            any::<f64>().prop_map(Scalar::float),
            ".*".prop_map(Scalar::Text),
        ]
    }

    proptest! {
        #[test]
        fn any_manifest_survives_the_round_trip(
            parents in prop::collection::btree_set(prop::array::uniform32(1u8..), 0..4),
            params in prop::collection::btree_map("[a-z.]{1,8}", scalar(), 0..6),
            metadata in prop::collection::btree_map("\\PC{1,8}", ".*", 0..6),
            message in "[a-z]\\PC{0,40}",
            ns: i64,
            bytes in any::<[u32; 4]>(),
        ) {
            let manifest = Manifest {
                parents: parents.into_iter().map(Hash).collect(),
                components: bytes.map(|b| ComponentRef { tree: Hash([1; 32]), files: 1, bytes: b.into() }),
                params: params.into_iter().collect(),
                metadata: metadata.into_iter().collect(),
                message,
                created: Time { ns, offset_minutes: 0 },
                ..sample()
            };
            let bytes = manifest.encode().unwrap();
            prop_assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        }
    }
}
