//! What `torch.save` writes: a zip of a pickle and storages, or before version 1.6 pickles with the
//! storages behind them. Tensors are views of storages.
//!
//! <https://github.com/pytorch/pytorch/blob/main/torch/serialization.py>, and the functions that
//! rebuild tensors in `torch/_utils.py`.

use std::collections::HashMap;

use crate::MAX_HEADER;
use crate::budget::Budget;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::model::{Location, Model, ModelFormat};
use crate::pickle::heap::{Heap, Object, Run, Value};
use crate::pickle::{self, machine};
use crate::read::inflate;
use crate::reader::Reader;
use crate::source::Source;
use crate::zip::{Entry, Method};

const FORMAT: &str = "pytorch";
/// What a file of the old kind begins with: a pickle of the magic number.
pub(crate) const MAGIC: [u8; 15] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// Bytes of the key of a storage.
const MAX_KEY: usize = 64;

/// Where storages are, by key.
#[derive(Default)]
pub(crate) struct Storages {
    places: HashMap<String, Place>,
    /// Whether elements are big-endian.
    swapped: bool,
}

#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    /// Bytes of elements.
    len: u64,
    /// Compressed bytes, when they are.
    packed: Option<u64>,
}

/// The pickle of a zip that `torch.save` wrote, if it is one.
pub(crate) fn main_entry(entries: &[Entry]) -> Option<&Entry> {
    let is_main = |entry: &&Entry| entry.name == "data.pkl" || entry.name.ends_with("/data.pkl");
    entries.iter().filter(is_main).min_by_key(|entry| entry.name.len())
}

/// Lists the tensors of a zip.
pub(crate) fn read_zip(
    source: &dyn Source,
    entries: &[Entry],
    main: &Entry,
    mut budget: Budget,
) -> Result<Model> {
    let root = main.name.strip_suffix("data.pkl").unwrap_or_default();
    let mut storages =
        Storages { swapped: is_swapped(source, entries, root)?, ..Storages::default() };
    for entry in entries {
        let Some(key) = entry.name.strip_prefix(root) else { continue };
        let Some(key) = key.strip_prefix("data/") else { continue };
        let place = Place {
            offset: entry.data(source)?,
            len: entry.size,
            packed: match entry.method {
                Some(Method::Stored) => None,
                Some(Method::Deflated) => Some(entry.packed),
                None => continue,
            },
        };
        budget.take_entry::<(String, Place)>(key.len())?;
        if storages.places.insert(key.to_owned(), place).is_some() {
            return Err(Error::malformed(FORMAT, format!("two storages are called `{key}`")));
        }
    }
    let at = main.data(source)?;
    match main.method {
        Some(Method::Stored) => {
            let mut heap = Heap::new(source, budget);
            let mut reader = Reader::range(source, FORMAT, at, main.size)?;
            let root = machine::run(&mut reader, &mut heap)?;
            pickle::list(ModelFormat::Torch, source, heap, root, &storages)
        }
        Some(Method::Deflated) => {
            if main.size > MAX_HEADER as u64 {
                let limit = MAX_HEADER as u64;
                return Err(Error::Limit { format: FORMAT, what: "the pickle", limit });
            }
            budget.take(main.size as usize)?;
            let unpacked = inflate(source, at, main.packed, main.size as usize)?;
            let mut heap = Heap::unpacked(&unpacked, budget);
            let root = machine::run(&mut Reader::new(&unpacked, FORMAT), &mut heap)?;
            pickle::list(ModelFormat::Torch, source, heap, root, &storages)
        }
        None => Err(main.malformed("is compressed in a way that is not known")),
    }
}

/// Whether the elements of the storages under this root are big-endian.
pub(crate) fn is_swapped(source: &dyn Source, entries: &[Entry], root: &str) -> Result<bool> {
    let says = |entry: &&Entry| {
        entry.name.strip_prefix(root) == Some("byteorder")
            && entry.size == 3
            && entry.method == Some(Method::Stored)
    };
    match entries.iter().rfind(says) {
        Some(entry) => Ok(source.read(entry.data(source)?, 3)? == b"big"),
        None => Ok(false),
    }
}

/// Lists the tensors of a file of the old kind: the magic number, a version, facts about the
/// machine, the object, the keys of the storages, and for each its number of elements and bytes.
pub(crate) fn read_old(source: &dyn Source, budget: Budget) -> Result<Model> {
    let mut reader = Reader::new(source, FORMAT);
    let mut heap = Heap::new(source, budget);
    machine::run(&mut reader, &mut heap)?;
    machine::run(&mut reader, &mut heap)?;
    let facts = machine::run(&mut reader, &mut heap)?;
    let root = machine::run(&mut reader, &mut heap)?;
    let keys = machine::run(&mut reader, &mut heap)?;
    let swapped = heap.field(facts, "little_endian")? == Some(Value::Bool(false));
    let mut sizes = HashMap::new();
    for &run in &heap.persistent {
        let items = heap.items(Value::Persistent(run));
        if let &[_, class, key, ..] = items
            && let Some(key) = heap.text(key, MAX_KEY)?
            && let Some(size) = storage_dtype(heap.class_name(class)).bytes_of(1)
            && !sizes.contains_key(&key)
        {
            heap.budget.take_entry::<(String, u64)>(key.len())?;
            sizes.insert(key, size);
        }
    }
    let mut storages = Storages { swapped, ..Storages::default() };
    // Paid for at once: the list that the keys stand in is borrowed meanwhile.
    let count = heap.items(keys).len();
    heap.budget.take(count.saturating_mul(MAX_KEY + 4 * size_of::<(String, Place)>()))?;
    for &key in heap.items(keys) {
        let key = heap.text(key, MAX_KEY)?.unwrap_or_default();
        let size = sizes
            .get(&key)
            .ok_or_else(|| reader.malformed(format!("the storage `{key}` has no type")))?;
        let len = reader.u64()?.checked_mul(*size);
        let len = len.ok_or_else(|| reader.malformed("the length of a storage"))?;
        let offset = reader.skip(len)?;
        storages.places.insert(key, Place { offset, len, packed: None });
    }
    pickle::list(ModelFormat::Torch, source, heap, root, &storages)
}

/// A tensor whose name is not known yet.
pub(crate) struct Unnamed {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
    pub(crate) location: Location,
}

/// The tensor that an object stands for, if it does.
pub(crate) fn tensor(
    heap: &Heap<'_>,
    object: Object,
    storages: &Storages,
) -> Result<Option<Unnamed>> {
    let object = bare(heap, object);
    let args = heap.items(object.args);
    let &[Value::Persistent(run), Value::Int(offset), shape, stride, ..] = args else {
        return Ok(None);
    };
    let typed = match heap.class_name(object.class) {
        "torch._utils._rebuild_tensor"
        | "torch._utils._rebuild_tensor_v2"
        | "torch._utils._rebuild_qtensor" => None,
        "torch._utils._rebuild_tensor_v3" => {
            args.get(6).map(|&dtype| plain_dtype(heap.class_name(dtype)))
        }
        _ => return Ok(None),
    };
    let (Some(shape), Some(stride)) = (heap.sizes(shape), heap.sizes(stride)) else {
        return Err(Error::malformed(FORMAT, "the shape of a tensor"));
    };
    let Some((dtype, place)) = place(heap, run, storages)? else { return Ok(None) };
    let dtype = typed.unwrap_or(dtype);
    let location = match place {
        None => Location::Elsewhere,
        Some(place) => view(&dtype, offset, &shape, &stride, place, storages.swapped)?,
    };
    Ok(Some(Unnamed { dtype, shape, location }))
}

/// What a parameter, or a tensor of a subclass, is a wrapper of.
fn bare(heap: &Heap<'_>, mut object: Object) -> Object {
    for _ in 0..4 {
        let args = heap.items(object.args);
        match (heap.class_name(object.class), args) {
            (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                &[inner, ..],
            ) => match heap.as_object(inner) {
                Some(inner) => object = inner,
                None => break,
            },
            ("torch._tensor._rebuild_from_type_v2", &[class, _, args, ..]) => {
                object = Object { class, args, ..object };
            }
            _ => break,
        }
    }
    object
}

/// A storage as a tensor of one dimension.
pub(crate) fn storage(heap: &Heap<'_>, run: Run, storages: &Storages) -> Result<Option<Unnamed>> {
    let Some((dtype, place)) = place(heap, run, storages)? else { return Ok(None) };
    let Some(&Value::Int(count)) = heap.items(Value::Persistent(run)).get(4) else {
        return Ok(None);
    };
    let shape = vec![u64::try_from(count).unwrap_or(u64::MAX)];
    let location = match place {
        None => Location::Elsewhere,
        Some(place) => view(&dtype, 0, &shape, &[1], place, storages.swapped)?,
    };
    Ok(Some(Unnamed { dtype, shape, location }))
}

/// The type and the place of a storage from its persistent id: the word `storage`, its class, its
/// key, its device, its number of elements, and in old files the part of another storage that it is.
fn place(heap: &Heap<'_>, run: Run, storages: &Storages) -> Result<Option<(Dtype, Option<Place>)>> {
    let items = heap.items(Value::Persistent(run));
    let &[word, class, key, _, _, ref part @ ..] = items else { return Ok(None) };
    if heap.text(word, MAX_KEY)?.as_deref() != Some("storage") {
        return Ok(None);
    }
    let key = heap.text(key, MAX_KEY)?.unwrap_or_default();
    let whole = part.first().is_none_or(|&part| part == Value::Opaque);
    let place = storages.places.get(&key).copied().filter(|_| whole);
    Ok(Some((storage_dtype(heap.class_name(class)), place)))
}

/// Where the elements of a view are.
fn view(
    dtype: &Dtype,
    offset: i64,
    shape: &[u64],
    stride: &[u64],
    place: Place,
    swapped: bool,
) -> Result<Location> {
    let outside = || Error::malformed(FORMAT, "a tensor lies outside its storage");
    // A type that is not known: all of its storage.
    let Some(size) = dtype.bytes_of(1) else {
        return Ok(match place.packed {
            None => Location::Scattered { offset: place.offset, len: place.len },
            Some(_) => Location::Elsewhere,
        });
    };
    if shape.len() != stride.len() {
        return Err(Error::malformed(FORMAT, "a tensor has more dimensions than strides"));
    }
    let mut whole = true;
    let mut elements = 1_u64;
    let mut last = 0_u64;
    for (&n, &step) in shape.iter().zip(stride).rev() {
        whole &= n == 1 || step == elements;
        elements = elements.checked_mul(n).ok_or_else(outside)?;
        let reach = n.saturating_sub(1).checked_mul(step);
        last = reach.and_then(|reach| last.checked_add(reach)).ok_or_else(outside)?;
    }
    if elements == 0 {
        return Ok(Location::Plain { offset: place.offset, len: 0 });
    }
    let begin = u64::try_from(offset).ok().and_then(|n| n.checked_mul(size)).ok_or_else(outside)?;
    let len = last.checked_add(1).and_then(|n| n.checked_mul(size)).ok_or_else(outside)?;
    if begin.checked_add(len).is_none_or(|end| end > place.len) {
        return Err(outside());
    }
    let plain = whole && (!swapped || size == 1);
    Ok(match place.packed {
        None if plain => Location::Plain { offset: place.offset + begin, len },
        None => Location::Scattered { offset: place.offset + begin, len },
        Some(packed) if plain => {
            Location::Deflated { offset: place.offset, packed, skip: begin, len }
        }
        Some(_) => Location::Elsewhere,
    })
}

/// The type of the elements of a class of storages.
fn storage_dtype(class: &str) -> Dtype {
    let name = class.rsplit('.').next().unwrap_or_default();
    let block = |name: &str, bytes| Dtype::Block { name: name.to_owned(), elements: 1, bytes };
    match name {
        "BoolStorage" => Dtype::Bool,
        "ByteStorage" => Dtype::U8,
        "CharStorage" => Dtype::I8,
        "ShortStorage" => Dtype::I16,
        "IntStorage" => Dtype::I32,
        "LongStorage" => Dtype::I64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::Bf16,
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "ComplexFloatStorage" => Dtype::C64,
        "ComplexDoubleStorage" => Dtype::C128,
        "UntypedStorage" => Dtype::U8,
        "QInt8Storage" => block("qint8", 1),
        "QUInt8Storage" => block("quint8", 1),
        "QInt32Storage" => block("qint32", 4),
        _ => Dtype::Other(class.to_owned()),
    }
}

/// The types that have no class of storages.
fn plain_dtype(name: &str) -> Dtype {
    let short = name.strip_prefix("torch.").unwrap_or(name);
    match short {
        "bool" => Dtype::Bool,
        "uint8" => Dtype::U8,
        "int8" => Dtype::I8,
        "uint16" => Dtype::U16,
        "int16" => Dtype::I16,
        "uint32" => Dtype::U32,
        "int32" => Dtype::I32,
        "uint64" => Dtype::U64,
        "int64" => Dtype::I64,
        "float8_e4m3fn" => Dtype::F8E4M3,
        "float8_e5m2" => Dtype::F8E5M2,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::Bf16,
        "float32" => Dtype::F32,
        "float64" => Dtype::F64,
        "complex64" => Dtype::C64,
        "complex128" => Dtype::C128,
        "float8_e4m3fnuz" | "float8_e5m2fnuz" | "float8_e8m0fnu" => {
            Dtype::Block { name: short.to_owned(), elements: 1, bytes: 1 }
        }
        _ => Dtype::Other(name.to_owned()),
    }
}
