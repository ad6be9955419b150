//! Arrangements that several test modules share: objects in a map, a chain in memory, hostile bytes.

use std::collections::BTreeMap;
use std::sync::Mutex;

use mv_store::{Hash, HashPrefix, Kind, Nonce, Source, Stat, Task, Transport, id_of};

use crate::component::ComponentRef;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::objects::Objects;
use crate::person::Person;
use crate::refs::RefName;
use crate::time::Time;
use crate::tree::Tree;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn name(text: &str) -> RefName {
    RefName::parse(text).unwrap()
}

pub(crate) fn person() -> Person {
    Person { name: "Ada".into(), email: "a@b".into() }
}

/// Objects in a map, verified when they are read as the store does.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) objects: BTreeMap<Hash, (Kind, Vec<u8>)>,
    pub(crate) lists: BTreeMap<Hash, Vec<Hash>>,
}

impl Memory {
    pub(crate) fn put(&mut self, kind: Kind, bytes: &[u8]) -> Hash {
        let id = id_of(kind, bytes);
        self.objects.insert(id, (kind, bytes.to_vec()));
        id
    }

    pub(crate) fn put_tree(&mut self, tree: &Tree) -> Hash {
        self.put(Kind::Tree, &tree.encode().unwrap())
    }

    pub(crate) fn put_manifest(&mut self, manifest: &Manifest) -> Hash {
        self.put(Kind::Manifest, &manifest.encode().unwrap())
    }

    pub(crate) fn empty_component(&mut self) -> ComponentRef {
        ComponentRef { tree: self.put_tree(&Tree::default()), files: 0, bytes: 0 }
    }

    /// A version without files, made at this second.
    pub(crate) fn commit(&mut self, message: &str, second: i64, parents: &[Hash]) -> Hash {
        let empty = self.empty_component();
        let manifest = manifest(message, second, parents, [empty; 4]);
        self.put_manifest(&manifest)
    }
}

pub(crate) fn manifest(
    message: &str,
    second: i64,
    parents: &[Hash],
    components: [ComponentRef; 4],
) -> Manifest {
    Manifest {
        parents: parents.to_vec(),
        components,
        environment: None,
        model_name: "m".into(),
        params: vec![],
        metrics: vec![],
        metadata: vec![],
        message: message.into(),
        author: person(),
        created: Time { ns: second * 1_000_000_000, offset_minutes: 0 },
        source: None,
    }
}

impl Objects for Memory {
    fn get(&self, kind: Kind, id: &Hash, cap: u64) -> mv_store::Result<Vec<u8>> {
        let (_, bytes) = self.objects.get(id).ok_or(mv_store::Error::Missing { kind, id: *id })?;
        if bytes.len() as u64 > cap {
            return Err(mv_store::Error::Invalid { what: "object", detail: "over the cap".into() });
        }
        if id_of(kind, bytes) != *id {
            return Err(mv_store::Error::corrupt("object", id, "its bytes do not match its id"));
        }
        Ok(bytes.clone())
    }

    fn contains(&self, id: &Hash) -> bool {
        self.objects.contains_key(id)
    }

    fn children(&self, id: &Hash) -> mv_store::Result<Option<Vec<Hash>>> {
        if !self.contains(id) {
            return Err(mv_store::Error::Missing { kind: Kind::Blob, id: *id });
        }
        Ok(self.lists.get(id).cloned())
    }

    fn find(&self, prefix: &HashPrefix, kind: Kind) -> mv_store::Result<Vec<Hash>> {
        let hits = self.objects.iter().filter(|(id, (k, _))| *k == kind && prefix.matches(id));
        Ok(hits.map(|(id, _)| *id).collect())
    }
}

/// What an unreliable transport does to the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `create` works and reports an I/O error.
    LostReply,
    /// `create` works and reports that the name was taken: a retry inside met its own write.
    DuplicateReply,
    /// `create` does nothing and reports an I/O error.
    NotDone,
    /// `create` does nothing and reports that the name was taken: S3's 409.
    FalseExists,
    /// `create` works, but its directory could not be synced.
    NotDurable,
    /// The next `read` fails.
    ReadFails,
    /// The newest name is missing from the next listings.
    StaleList,
}

/// A transport in memory that misbehaves on demand.
#[derive(Default)]
pub(crate) struct MemoryTransport {
    pub(crate) names: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) faults: Mutex<Vec<Fault>>,
    pub(crate) reads: std::sync::atomic::AtomicUsize,
}

impl MemoryTransport {
    pub(crate) fn fail_next(&self, faults: &[Fault]) {
        *self.faults.lock().unwrap() = faults.to_vec();
    }

    fn take(&self, applies: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let first = *faults.first()?;
        applies(first).then(|| faults.remove(0))
    }

    pub(crate) fn io(action: &'static str) -> mv_store::Error {
        mv_store::Error::Io {
            action,
            path: "remote".into(),
            source: std::io::Error::other("broken"),
        }
    }
}

impl Transport for MemoryTransport {
    fn read(&self, name: &str, cap: u64) -> mv_store::Result<Vec<u8>> {
        self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if self.take(|f| f == Fault::ReadFails).is_some() {
            return Err(MemoryTransport::io("read"));
        }
        let names = self.names.lock().unwrap();
        let bytes = names.get(name).ok_or_else(|| mv_store::Error::Absent { name: name.into() })?;
        if bytes.len() as u64 > cap {
            return Err(mv_store::Error::Invalid { what: "file", detail: "over the cap".into() });
        }
        Ok(bytes.clone())
    }

    fn read_range(&self, name: &str, start: u64, len: u64) -> mv_store::Result<Vec<u8>> {
        let bytes = self.read(name, u64::MAX)?;
        Ok(bytes[usize::try_from(start).unwrap()..usize::try_from(start + len).unwrap()].to_vec())
    }

    fn read_end(&self, name: &str, len: u64) -> mv_store::Result<(Vec<u8>, u64)> {
        let bytes = self.read(name, u64::MAX)?;
        let start = bytes.len().saturating_sub(usize::try_from(len).unwrap());
        Ok((bytes[start..].to_vec(), bytes.len() as u64))
    }

    fn stat(&self, name: &str) -> mv_store::Result<Option<Stat>> {
        let len = self.names.lock().unwrap().get(name).map(|b| b.len() as u64);
        Ok(len.map(|len| Stat { len, modified_ns: 0 }))
    }

    fn upload(
        &self,
        name: &str,
        source: &dyn Source,
        nonce: &Nonce,
        _: &Task,
    ) -> mv_store::Result<()> {
        let mut bytes = vec![0; usize::try_from(source.len()).unwrap()];
        source.read_at(&mut bytes, 0)?;
        self.create(name, &bytes, nonce)
    }

    fn note(&self, name: &str, bytes: &[u8], _nonce: &Nonce) -> mv_store::Result<()> {
        self.names.lock().unwrap().insert(name.into(), bytes.to_vec());
        Ok(())
    }

    fn create(&self, name: &str, bytes: &[u8], _nonce: &Nonce) -> mv_store::Result<()> {
        let fault = self.take(|f| !matches!(f, Fault::ReadFails | Fault::StaleList));
        let taken = || mv_store::Error::Exists { name: name.into() };
        match fault {
            Some(Fault::NotDone) => return Err(MemoryTransport::io("write")),
            Some(Fault::FalseExists) => return Err(taken()),
            _ => {}
        }
        let mut names = self.names.lock().unwrap();
        if names.contains_key(name) {
            return Err(taken());
        }
        names.insert(name.into(), bytes.to_vec());
        match fault {
            Some(Fault::LostReply) => Err(MemoryTransport::io("write")),
            Some(Fault::DuplicateReply) => Err(taken()),
            Some(Fault::NotDurable) => Err(MemoryTransport::io("sync directory")),
            _ => Ok(()),
        }
    }

    fn list(&self, prefix: &str) -> mv_store::Result<Vec<String>> {
        let start = format!("{prefix}/");
        let names = self.names.lock().unwrap();
        let mut found: Vec<String> =
            names.keys().filter(|n| n.starts_with(&start)).cloned().collect();
        if self.take(|f| f == Fault::StaleList).is_some() {
            found.pop();
        }
        found.reverse();
        Ok(found)
    }

    fn delete(&self, name: &str) -> mv_store::Result<()> {
        self.names.lock().unwrap().remove(name);
        Ok(())
    }
}

/// Damages canonical bytes in every way that needs no seal of its own, and holds the decoder to:
/// no panic, no success unless the bytes are canonical, no large allocation. `lengths` are the
/// places of one-byte counts and lengths.
pub(crate) fn assert_hostile_bytes_are_refused(
    bytes: &[u8],
    lengths: &[usize],
    recode: impl Fn(&[u8]) -> Result<Vec<u8>>,
) {
    assert_eq!(recode(bytes).unwrap(), bytes);
    let refused = |hostile: &[u8], what: &str| {
        let error = recode(hostile).expect_err(what);
        assert!(
            matches!(error, Error::Corrupt { .. } | Error::Unsupported { .. }),
            "{what}: {error}"
        );
    };
    for len in 0..bytes.len() {
        // A sealed record may be cut and sealed again; then the body is short.
        refused(&bytes[..len], "cut short");
    }
    for at in lengths {
        assert!(bytes[*at] < 0xfb, "{at} is no length of one byte");
        for claim in [1u64 << 24, 1 << 31, 1 << 40, 1 << 63, u64::MAX] {
            let mut long =
                [&bytes[..*at], &[0xfd], &claim.to_le_bytes(), &bytes[*at + 1..]].concat();
            refused(&long, &format!("length {claim} at {at}"));
            // With 64 KiB behind it, so that a first check against what is left passes longer.
            long.resize(long.len() + (1 << 16), 1);
            refused(&long, &format!("length {claim} at {at} with padding"));
        }
        let wide = [&bytes[..*at], &[0xfb, bytes[*at], 0], &bytes[*at + 1..]].concat();
        refused(&wide, &format!("over-long varint at {at}"));
        let one_less = [&bytes[..*at], &[bytes[*at].wrapping_sub(1)], &bytes[*at + 1..]].concat();
        if let Ok(same) = recode(&one_less) {
            assert_eq!(same, one_less);
        }
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 0x10, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xfe, 0xff] {
            let mut hostile = bytes.to_vec();
            hostile[at] = value;
            if let Ok(same) = recode(&hostile) {
                assert_eq!(same, hostile, "byte {at} = {value}");
            }
        }
    }
    assert!(peak_memory() < 256 << 20, "the process grew to {} bytes", peak_memory());
}

/// The process's peak resident memory; 0 where the system does not say.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) * 1024
}
