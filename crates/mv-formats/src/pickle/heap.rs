//! [`Heap`]: what a pickle would build, as far as it has structure.
//!
//! Values are small and are copied; what they point at lives in lists that only grow, so that
//! sharing costs nothing and a cycle is only a number. Texts and bytes stay in the file.

use std::collections::HashMap;

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::source::Source;

/// Different classes of one file.
const MAX_CLASSES: usize = 4096;
/// Attributes of an object among which one is searched.
const MAX_FIELDS: usize = 32;

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// Nothing, and what has no structure of interest: floats, huge integers, extensions.
    Opaque,
    Bool(bool),
    Int(i64),
    /// A text, or a string of Python 2, which may be bytes.
    Text {
        at: u64,
        len: u32,
    },
    /// The number of a span.
    Bytes(u32),
    Tuple(Run),
    /// A list or set.
    List(u32),
    /// Keys and values by turns.
    Dict(u32),
    Class(u32),
    Object(u32),
    /// What a persistent id stands for.
    Persistent(Run),
}

/// Neighbours in [`Heap::tuples`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) first: u32,
    pub(crate) len: u32,
}

/// What calling a class or function would give.
#[derive(Clone, Copy)]
pub(crate) struct Object {
    /// What is called.
    pub(crate) class: Value,
    /// Its arguments, a tuple.
    pub(crate) args: Value,
    /// What it is given afterwards.
    pub(crate) state: Value,
    /// A list or dict with what is put into it.
    pub(crate) items: Value,
}

pub(crate) struct Heap<'a> {
    source: &'a dyn Source,
    /// Whether `source` is the file itself, and not something unpacked from it.
    is_file: bool,
    pub(crate) budget: Budget,
    tuples: Vec<Value>,
    lists: Vec<Vec<Value>>,
    objects: Vec<Object>,
    spans: Vec<(u64, u64)>,
    classes: Vec<String>,
    numbers: HashMap<String, u32>,
    /// Every persistent id, in the order of the file.
    pub(crate) persistent: Vec<Run>,
}

impl<'a> Heap<'a> {
    pub(crate) fn new(source: &'a dyn Source, budget: Budget) -> Heap<'a> {
        Heap {
            source,
            is_file: true,
            budget,
            tuples: Vec::new(),
            lists: Vec::new(),
            objects: Vec::new(),
            spans: Vec::new(),
            classes: Vec::new(),
            numbers: HashMap::new(),
            persistent: Vec::new(),
        }
    }

    /// A heap for a pickle that was unpacked from a file: no bytes of it can be pointed at.
    pub(crate) fn unpacked(source: &'a dyn Source, budget: Budget) -> Heap<'a> {
        Heap { is_file: false, ..Heap::new(source, budget) }
    }

    pub(crate) fn tuple(&mut self, items: &[Value]) -> Result<Value> {
        let run = Run { first: self.tuples.len() as u32, len: items.len() as u32 };
        for &item in items {
            self.budget.push(&mut self.tuples, item)?;
        }
        Ok(Value::Tuple(run))
    }

    /// An empty list, and its number.
    pub(crate) fn list(&mut self) -> Result<u32> {
        self.budget.push(&mut self.lists, Vec::new())?;
        Ok(self.lists.len() as u32 - 1)
    }

    pub(crate) fn object(&mut self, class: Value, args: Value) -> Result<Value> {
        let object = Object { class, args, state: Value::Opaque, items: Value::Opaque };
        self.budget.push(&mut self.objects, object)?;
        Ok(Value::Object(self.objects.len() as u32 - 1))
    }

    pub(crate) fn span(&mut self, at: u64, len: u64) -> Result<Value> {
        self.budget.push(&mut self.spans, (at, len))?;
        Ok(Value::Bytes(self.spans.len() as u32 - 1))
    }

    /// The class of this name, the same value each time.
    pub(crate) fn class(&mut self, name: String) -> Result<Value> {
        if let Some(&number) = self.numbers.get(&name) {
            return Ok(Value::Class(number));
        }
        let number = self.classes.len();
        if number == MAX_CLASSES {
            let what = "the number of classes";
            return Err(Error::Limit { format: "pickle", what, limit: MAX_CLASSES as u64 });
        }
        self.budget.take_entry::<(String, u32)>(2 * name.len() + 40)?;
        self.classes.push(name.clone());
        self.numbers.insert(name, number as u32);
        Ok(Value::Class(number as u32))
    }

    /// Puts items into a list, set or dict, or into an object that is one.
    pub(crate) fn extend(&mut self, into: Value, dict: bool, items: &[Value]) -> Result<()> {
        let target = match into {
            Value::List(number) | Value::Dict(number) => Some(number),
            Value::Object(object) => match self.objects[object as usize].items {
                Value::List(number) | Value::Dict(number) => Some(number),
                _ => {
                    let number = self.list()?;
                    let fresh = if dict { Value::Dict(number) } else { Value::List(number) };
                    self.objects[object as usize].items = fresh;
                    Some(number)
                }
            },
            _ => None,
        };
        let Some(list) = target.and_then(|number| self.lists.get_mut(number as usize)) else {
            return Ok(());
        };
        for &item in items {
            self.budget.push(list, item)?;
        }
        Ok(())
    }

    /// The object, to be changed.
    pub(crate) fn object_mut(&mut self, value: Value) -> Option<&mut Object> {
        let Value::Object(number) = value else { return None };
        self.objects.get_mut(number as usize)
    }

    /// The object of this value, if it is one.
    pub(crate) fn as_object(&self, value: Value) -> Option<Object> {
        let Value::Object(number) = value else { return None };
        self.objects.get(number as usize).copied()
    }

    /// The items of a tuple, list or persistent id, keys and values of a dict; else nothing.
    pub(crate) fn items(&self, value: Value) -> &[Value] {
        match value {
            Value::Tuple(run) | Value::Persistent(run) => {
                let first = run.first as usize;
                self.tuples.get(first..first + run.len as usize).unwrap_or_default()
            }
            Value::List(number) | Value::Dict(number) => {
                self.lists.get(number as usize).map_or(&[], Vec::as_slice)
            }
            _ => &[],
        }
    }

    /// The module and name of a class, else nothing.
    pub(crate) fn class_name(&self, value: Value) -> &str {
        match value {
            Value::Class(number) => self.classes.get(number as usize).map_or("", String::as_str),
            _ => "",
        }
    }

    /// Every class the pickle names.
    pub(crate) fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Where in the file the bytes are; those of a text too.
    pub(crate) fn bytes(&self, value: Value) -> Option<(u64, u64)> {
        match value {
            _ if !self.is_file => None,
            Value::Bytes(number) => self.spans.get(number as usize).copied(),
            Value::Text { at, len } => Some((at, len.into())),
            _ => None,
        }
    }

    /// A text of at most `limit` bytes.
    pub(crate) fn text(&self, value: Value, limit: usize) -> Result<Option<String>> {
        let Value::Text { at, len } = value else { return Ok(None) };
        if len as usize > limit {
            let what = "the length of a text";
            return Err(Error::Limit { format: "pickle", what, limit: limit as u64 });
        }
        Ok(String::from_utf8(self.source.read(at, len as usize)?).ok())
    }

    /// The value of a small dict under this key. Costs a read for each key of this length.
    pub(crate) fn field(&self, dict: Value, key: &str) -> Result<Option<Value>> {
        for pair in self.items(dict).chunks_exact(2).take(MAX_FIELDS) {
            let Value::Text { len, .. } = pair[0] else { continue };
            if len as usize == key.len() && self.text(pair[0], key.len())?.as_deref() == Some(key) {
                return Ok(Some(pair[1]));
            }
        }
        Ok(None)
    }

    /// The items as sizes, unless one is no number or negative.
    pub(crate) fn sizes(&self, value: Value) -> Option<Vec<u64>> {
        // One more than allowed, so that the list of tensors can say that they are too many.
        let items = self.items(value).iter().take(crate::MAX_RANK + 1);
        items
            .map(|&item| match item {
                Value::Int(n) => u64::try_from(n).ok(),
                _ => None,
            })
            .collect()
    }

    /// How many tuples' items, lists and objects there are.
    pub(crate) fn counts(&self) -> [usize; 3] {
        [self.tuples.len(), self.lists.len(), self.objects.len()]
    }
}
