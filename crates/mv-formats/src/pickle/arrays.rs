//! NumPy arrays inside pickles, in the three ways they are written: by NumPy with and without the
//! buffers of protocol 5, and by joblib.

use crate::error::Result;
use crate::npy::Array;
use crate::pickle::heap::{Heap, Object, Value};

/// What joblib puts where an array was.
pub(crate) const JOBLIB: &str = "joblib.numpy_pickle.NumpyArrayWrapper";
/// Bytes of the name of an element type.
const MAX_DTYPE: usize = 256;

/// An array, and the value whose bytes are its elements.
pub(crate) struct Found {
    pub(crate) array: Array,
    pub(crate) data: Value,
    /// Whether its elements are references to other objects.
    pub(crate) objects: bool,
}

/// The array that an object stands for, if it does.
pub(crate) fn array(heap: &Heap<'_>, object: Object) -> Result<Option<Found>> {
    let args = heap.items(object.args);
    match heap.class_name(object.class) {
        "numpy.core.multiarray._reconstruct" | "numpy._core.multiarray._reconstruct" => {
            let &[_, shape, dtype, Value::Bool(columns), data] = heap.items(object.state) else {
                return Ok(None);
            };
            describe(heap, dtype, shape, columns, data)
        }
        "numpy.core.numeric._frombuffer" | "numpy._core.numeric._frombuffer" => {
            let &[data, dtype, shape, order] = args else { return Ok(None) };
            let columns = heap.text(order, 1)?.as_deref() == Some("F");
            describe(heap, dtype, shape, columns, data)
        }
        JOBLIB => {
            let found = joblib(heap, object.state)?;
            Ok(found.map(|found| Found {
                array: found.array,
                data: object.args,
                objects: found.objects,
            }))
        }
        _ => Ok(None),
    }
}

/// What joblib writes before an array.
pub(crate) struct Described {
    pub(crate) array: Array,
    pub(crate) objects: bool,
    /// Whether a byte of padding and the padding come first.
    pub(crate) aligned: bool,
}

/// An array from the attributes of joblib's wrapper.
pub(crate) fn joblib(heap: &Heap<'_>, state: Value) -> Result<Option<Described>> {
    let field = |key| heap.field(state, key);
    let (Some(dtype), Some(shape), Some(order)) =
        (field("dtype")?, field("shape")?, field("order")?)
    else {
        return Ok(None);
    };
    let columns = heap.text(order, 1)?.as_deref() == Some("F");
    let aligned = matches!(field("numpy_array_alignment_bytes")?, Some(Value::Int(_)));
    let found = describe(heap, dtype, shape, columns, Value::Opaque)?;
    Ok(found.map(|found| Described { array: found.array, objects: found.objects, aligned }))
}

fn describe(
    heap: &Heap<'_>,
    dtype: Value,
    shape: Value,
    columns: bool,
    data: Value,
) -> Result<Option<Found>> {
    let (Some(dtype), Some(shape)) = (heap.as_object(dtype), heap.sizes(shape)) else {
        return Ok(None);
    };
    let Some(&name) = heap.items(dtype.args).first() else { return Ok(None) };
    let state = heap.items(dtype.state);
    let order = match state.get(1) {
        Some(&order) => heap.text(order, 1)?.unwrap_or_default(),
        None => String::new(),
    };
    let name = match name {
        Value::Class(_) => heap.class_name(name).to_owned(),
        name => heap.text(name, MAX_DTYPE)?.unwrap_or_default(),
    };
    // The names of the fields of a structure.
    let structure = matches!(state.get(3), Some(Value::Tuple(_)));
    let name = if structure { format!("structure of {name}") } else { name };
    let objects = name.starts_with('O');
    let array = Array::new(&format!("{order}{name}"), shape, columns);
    Ok(Some(Found { array, data, objects }))
}
