//! [`MemoryTransport`]: named objects in memory, each operation of which goes through a [`Gate`].
//!
//! [`Memory`] is the place: a value that can be copied and compared. As a gate it answers at once. A
//! test that wants to decide when an operation happens, or what its caller hears of it, puts a gate
//! of its own before it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mv_store::{Error, Hash, Kind, Nonce, Result, Source, Stat, Task, Transport, id_of};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A whole object.
    Read(String),
    /// So many bytes from a place on.
    ReadRange(String, u64, u64),
    /// The last bytes.
    ReadEnd(String, u64),
    /// Length and age.
    Stat(String),
    /// Create if absent.
    Create(String, Arc<Object>),
    /// Write a large object.
    Upload(String, Arc<Object>),
    /// Replace advice.
    Note(String, Arc<Object>),
    /// The names below a prefix.
    List(String),
    /// Delete.
    Delete(String),
}

impl Op {
    /// The object or prefix that it is about.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Op::Read(name)
            | Op::ReadRange(name, ..)
            | Op::ReadEnd(name, _)
            | Op::Stat(name)
            | Op::Create(name, _)
            | Op::Upload(name, _)
            | Op::Note(name, _)
            | Op::List(name)
            | Op::Delete(name) => name,
        }
    }

    /// Whether it changes the place.
    #[must_use]
    pub fn changes(&self) -> bool {
        matches!(self, Op::Create(..) | Op::Upload(..) | Op::Note(..) | Op::Delete(_))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Op::Read(_) => "read",
            Op::ReadRange(..) => "read a part of",
            Op::ReadEnd(..) => "read the end of",
            Op::Stat(_) => "stat",
            Op::Create(..) => "create",
            Op::Upload(..) => "upload",
            Op::Note(..) => "note",
            Op::List(_) => "list",
            Op::Delete(_) => "delete",
        };
        write!(f, "{verb} {}", short(self.name()))
    }
}

/// A name as people read it: numbers without their zeros, ids by their first digits.
fn short(name: &str) -> String {
    match name.rsplit_once('/') {
        Some(("state", digits)) => format!("state/{}", digits.trim_start_matches('0')),
        Some((_, id)) if id.len() > 10 => format!("pack {}", &id[..6]),
        _ => name.to_owned(),
    }
}

/// Bytes and their hash, which stands for them where states are compared.
#[derive(PartialEq, Eq)]
pub struct Object {
    hash: Hash,
    bytes: Vec<u8>,
}

impl Object {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Arc<Object> {
        Arc::new(Object { hash: id_of(Kind::Blob, &bytes), bytes })
    }

    /// The BLAKE3 of the bytes.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.hash
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::hash::Hash for Object {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        self.hash.hash(hasher);
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// What an operation returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// Bytes.
    Bytes(Vec<u8>),
    /// The last bytes, and the object's length.
    End(Vec<u8>, u64),
    /// What is known of an object.
    Stat(Option<Stat>),
    /// Names.
    Names(Vec<String>),
}

/// Decides when an operation happens and what its caller hears.
pub trait Gate: Send + Sync {
    /// Passes an operation on, or not.
    ///
    /// # Errors
    /// Those of [`Transport`].
    fn pass(&self, op: Op) -> Result<Reply>;
}

/// The objects of a place, by name. A clone is another place.
#[derive(Default)]
pub struct Memory(Mutex<BTreeMap<String, Arc<Object>>>);

impl Clone for Memory {
    fn clone(&self) -> Memory {
        Memory(Mutex::new(self.objects().clone()))
    }
}

impl Memory {
    /// What is there now.
    pub fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Object>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The full names directly below a prefix.
    #[must_use]
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let start = format!("{prefix}/");
        let objects = self.objects();
        let below = objects.range(start.clone()..).map_while(|(n, _)| n.strip_prefix(&start));
        let mut names: Vec<String> =
            below.map(|n| format!("{start}{}", n.split('/').next().unwrap_or_default())).collect();
        names.dedup();
        names
    }

    /// Does what is asked.
    ///
    /// # Errors
    /// `Absent`, `Exists`, `Corrupt`.
    pub fn apply(&self, op: &Op) -> Result<Reply> {
        let mut objects = self.objects();
        let found = |name: &str| {
            objects.get(name).cloned().ok_or_else(|| Error::Absent { name: name.to_owned() })
        };
        match op {
            Op::Read(name) => Ok(Reply::Bytes(found(name)?.bytes.clone())),
            Op::ReadRange(name, start, len) => {
                let object = found(name)?;
                let range = usize::try_from(*start).ok().zip(usize::try_from(start + len).ok());
                let part = range.and_then(|(start, end)| object.bytes.get(start..end));
                let part = part.ok_or_else(|| Error::corrupt("object", name, "it ends before"))?;
                Ok(Reply::Bytes(part.to_vec()))
            }
            Op::ReadEnd(name, len) => {
                let object = found(name)?;
                let all = object.bytes.len();
                let from = all - all.min(usize::try_from(*len).unwrap_or(usize::MAX));
                Ok(Reply::End(object.bytes[from..].to_vec(), all as u64))
            }
            Op::Stat(name) => {
                let stat =
                    |object: &Arc<Object>| Stat { len: object.bytes.len() as u64, modified_ns: 0 };
                Ok(Reply::Stat(objects.get(name).map(stat)))
            }
            Op::Create(name, _) if objects.contains_key(name) => {
                Err(Error::Exists { name: name.clone() })
            }
            Op::Create(name, object) | Op::Upload(name, object) | Op::Note(name, object) => {
                objects.insert(name.clone(), Arc::clone(object));
                Ok(Reply::Done)
            }
            Op::List(prefix) => {
                drop(objects);
                Ok(Reply::Names(self.names(prefix)))
            }
            Op::Delete(name) => {
                objects.remove(name);
                Ok(Reply::Done)
            }
        }
    }
}

impl Gate for Memory {
    fn pass(&self, op: Op) -> Result<Reply> {
        self.apply(&op)
    }
}

/// A transport behind a gate. It asks for one thing at a time and never sleeps.
pub struct MemoryTransport(Arc<dyn Gate>);

impl MemoryTransport {
    /// The place behind this gate.
    #[must_use]
    pub fn new(gate: Arc<dyn Gate>) -> MemoryTransport {
        MemoryTransport(gate)
    }
}

impl Transport for MemoryTransport {
    fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>> {
        match self.0.pass(Op::Read(name.to_owned()))? {
            Reply::Bytes(bytes) if bytes.len() as u64 > cap => {
                Err(Error::corrupt("object", name, "it is too large"))
            }
            Reply::Bytes(bytes) => Ok(bytes),
            other => unreachable!("{other:?}"),
        }
    }

    fn read_range(&self, name: &str, start: u64, len: u64) -> Result<Vec<u8>> {
        match self.0.pass(Op::ReadRange(name.to_owned(), start, len))? {
            Reply::Bytes(bytes) => Ok(bytes),
            other => unreachable!("{other:?}"),
        }
    }

    fn read_end(&self, name: &str, len: u64) -> Result<(Vec<u8>, u64)> {
        match self.0.pass(Op::ReadEnd(name.to_owned(), len))? {
            Reply::End(bytes, all) => Ok((bytes, all)),
            other => unreachable!("{other:?}"),
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        match self.0.pass(Op::Stat(name.to_owned()))? {
            Reply::Stat(stat) => Ok(stat),
            other => unreachable!("{other:?}"),
        }
    }

    fn create(&self, name: &str, bytes: &[u8], _: &Nonce) -> Result<()> {
        self.0.pass(Op::Create(name.to_owned(), Object::new(bytes.to_vec()))).map(drop)
    }

    fn upload(&self, name: &str, source: &dyn Source, _: &Nonce, task: &Task) -> Result<()> {
        task.check()?;
        let mut bytes = vec![0; usize::try_from(source.len()).unwrap_or(usize::MAX)];
        source.read_at(&mut bytes, 0)?;
        task.add(bytes.len() as u64);
        self.0.pass(Op::Upload(name.to_owned(), Object::new(bytes))).map(drop)
    }

    fn note(&self, name: &str, bytes: &[u8], _: &Nonce) -> Result<()> {
        self.0.pass(Op::Note(name.to_owned(), Object::new(bytes.to_vec()))).map(drop)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        match self.0.pass(Op::List(prefix.to_owned()))? {
            Reply::Names(names) => Ok(names),
            other => unreachable!("{other:?}"),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.0.pass(Op::Delete(name.to_owned())).map(drop)
    }

    fn lanes(&self) -> usize {
        1
    }

    fn back_off(&self, _: u32, _: u64) {}
}
