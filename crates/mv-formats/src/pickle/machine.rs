//! [`run`]: walks the opcodes of one pickle and builds their structure on a [`Heap`].
//!
//! <https://github.com/python/cpython/blob/main/Lib/pickletools.py>, protocols 0 to 5. Nothing is
//! imported, called or evaluated: a call becomes an object that names what would be called.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::pickle::arrays;
use crate::pickle::heap::{Heap, Value};
use crate::reader::Reader;

const FORMAT: &str = "pickle";
/// Opcodes of one file.
const MAX_STEPS: u32 = 1 << 24;
/// What the description of an array of joblib costs: it is searched for its attributes, by reading.
const STEPS_OF_ARRAY: u32 = 64;
/// Bytes of one line of the old text opcodes.
const MAX_LINE: u64 = 64 << 10;
/// Bytes of all of them.
const MAX_LINES: u64 = 64 << 20;
/// Bytes of the name of a module or class.
const MAX_CLASS: usize = 512;
/// How far the memo may run ahead: Python counts its entries from 0.
const MAX_AHEAD: usize = 1024;
/// Pickles within pickles.
const MAX_DEPTH: u32 = 4;

/// The value that the pickle which begins here would give. The reader stands behind it afterwards.
pub(crate) fn run(reader: &mut Reader<'_>, heap: &mut Heap<'_>) -> Result<Value> {
    let mut effort = Effort::default();
    Machine::new(reader, heap, &mut effort, 0).run()
}

/// What was spent on all pickles of one run.
#[derive(Default)]
struct Effort {
    steps: u32,
    lines: u64,
    /// Classes by where their two names stand.
    named: HashMap<(Value, Value), Value>,
}

struct Machine<'a, 'h, 's> {
    reader: &'a mut Reader<'s>,
    heap: &'a mut Heap<'h>,
    effort: &'a mut Effort,
    depth: u32,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Vec<Value>,
}

impl<'a, 'h, 's> Machine<'a, 'h, 's> {
    fn new(
        reader: &'a mut Reader<'s>,
        heap: &'a mut Heap<'h>,
        effort: &'a mut Effort,
        depth: u32,
    ) -> Machine<'a, 'h, 's> {
        let (stack, marks, memo) = (Vec::new(), Vec::new(), Vec::new());
        Machine { reader, heap, effort, depth, stack, marks, memo }
    }

    fn run(mut self) -> Result<Value> {
        loop {
            self.spend(1)?;
            let opcode = self.reader.byte()?;
            if opcode == b'.' {
                let result = self.pop()?;
                let (values, marks) =
                    (self.stack.capacity() + self.memo.capacity(), self.marks.capacity());
                self.heap
                    .budget
                    .give_back(values * size_of::<Value>() + marks * size_of::<usize>());
                return Ok(result);
            }
            self.step(opcode)?;
        }
    }

    fn spend(&mut self, steps: u32) -> Result<()> {
        self.effort.steps += steps;
        if self.effort.steps > MAX_STEPS {
            let limit = MAX_STEPS.into();
            return Err(Error::Limit { format: FORMAT, what: "the number of steps", limit });
        }
        Ok(())
    }

    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            // The stack.
            b'(' => self.heap.budget.push(&mut self.marks, self.stack.len()),
            b'0' => match self.marks.last() == Some(&self.stack.len()) {
                true => self.unmark().map(drop),
                false => self.pop().map(drop),
            },
            b'1' => {
                let at = self.unmark()?;
                self.stack.truncate(at);
                Ok(())
            }
            b'2' => {
                let top = self.top()?;
                self.push(top)
            }
            // Numbers.
            b'N' => self.push(Value::Opaque),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let n = self.reader.byte()?;
                self.push(Value::Int(n.into()))
            }
            b'M' => {
                let n = self.reader.u16()?;
                self.push(Value::Int(n.into()))
            }
            b'J' => {
                let n = i32::from_le_bytes(self.reader.array()?);
                self.push(Value::Int(n.into()))
            }
            0x8a => {
                let len = self.reader.byte()?;
                self.long(len.into())
            }
            0x8b => {
                let len = self.reader.u32()?;
                self.long(len.into())
            }
            b'I' | b'L' => {
                let line = self.line()?;
                self.push(number(&line))
            }
            b'G' => self.opaque(8),
            b'F' => {
                self.line()?;
                self.push(Value::Opaque)
            }
            // Texts and bytes.
            b'U' | 0x8c => {
                let len = self.reader.byte()?;
                self.text(len.into())
            }
            b'T' | b'X' => {
                let len = self.reader.u32()?;
                self.text(len.into())
            }
            0x8d => {
                let len = self.reader.u64()?;
                self.text(len)
            }
            b'S' => self.line_text(true),
            b'V' => self.line_text(false),
            b'C' => {
                let len = self.reader.byte()?;
                self.bytes(len.into())
            }
            b'B' => {
                let len = self.reader.u32()?;
                self.bytes(len.into())
            }
            0x8e | 0x96 => {
                let len = self.reader.u64()?;
                self.bytes(len)
            }
            0x97 => self.push(Value::Opaque),
            0x98 => self.top().map(drop),
            _ => self.step_structure(opcode),
        }
    }

    fn step_structure(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            // Tuples, lists, dicts.
            b')' => self.tuple_from(self.stack.len()),
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(opcode - 0x84));
                let from = from.ok_or_else(|| self.empty())?;
                self.tuple_from(from)
            }
            b't' => {
                let from = self.unmark()?;
                self.tuple_from(from)
            }
            b']' | 0x8f => self.container(Value::List, None),
            b'}' => self.container(Value::Dict, None),
            b'l' | 0x91 => {
                let from = self.unmark()?;
                self.container(Value::List, Some(from))
            }
            b'd' => {
                let from = self.unmark()?;
                self.container(Value::Dict, Some(from))
            }
            b'a' => self.put_into(false, self.stack.len().saturating_sub(1)),
            b's' => self.put_into(true, self.stack.len().saturating_sub(2)),
            b'e' | 0x90 => {
                let from = self.unmark()?;
                self.put_into(false, from)
            }
            b'u' => {
                let from = self.unmark()?;
                self.put_into(true, from)
            }
            // The memo.
            b'p' => {
                let at = self.index()?;
                self.put(at)
            }
            b'q' => {
                let at = self.reader.byte()?;
                self.put(at.into())
            }
            b'r' => {
                let at = self.reader.u32()?;
                self.put(at as usize)
            }
            0x94 => self.put(self.memo.len()),
            b'g' => {
                let at = self.index()?;
                self.get(at)
            }
            b'h' => {
                let at = self.reader.byte()?;
                self.get(at.into())
            }
            b'j' => {
                let at = self.reader.u32()?;
                self.get(at as usize)
            }
            _ => self.step_object(opcode),
        }
    }

    fn step_object(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'c' => {
                let class = self.global()?;
                self.push(class)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let class = self.stack_global(module, name)?;
                self.push(class)
            }
            b'R' | 0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.call(class, args)
            }
            0x92 => {
                let (_named, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, args)
            }
            b'i' => {
                let class = self.global()?;
                let from = self.unmark()?;
                self.tuple_from(from)?;
                let args = self.pop()?;
                self.call(class, args)
            }
            b'o' => {
                let from = self.unmark()?;
                let class = *self.stack.get(from).ok_or_else(|| self.empty())?;
                self.tuple_from(from + 1)?;
                let args = self.pop()?;
                self.stack.truncate(from);
                self.call(class, args)
            }
            b'b' => self.build(),
            b'Q' => match self.pop()? {
                Value::Tuple(run) => {
                    self.heap.budget.push(&mut self.heap.persistent, run)?;
                    self.push(Value::Persistent(run))
                }
                _ => self.push(Value::Opaque),
            },
            b'P' => {
                self.line()?;
                self.push(Value::Opaque)
            }
            0x82 => self.opaque(1),
            0x83 => self.opaque(2),
            0x84 => self.opaque(4),
            // The protocol, and a frame, which changes nothing.
            0x80 => self.reader.skip(1).map(drop),
            0x95 => self.reader.skip(8).map(drop),
            other => Err(self.reader.malformed(format!("opcode {other:#04x}"))),
        }
    }

    fn push(&mut self, value: Value) -> Result<()> {
        self.heap.budget.push(&mut self.stack, value)
    }

    /// Takes the top, which must lie above the last mark.
    fn pop(&mut self) -> Result<Value> {
        if self.marks.last().is_some_and(|&mark| mark == self.stack.len()) {
            return Err(self.empty());
        }
        self.stack.pop().ok_or_else(|| self.empty())
    }

    fn top(&self) -> Result<Value> {
        self.stack.last().copied().ok_or_else(|| self.empty())
    }

    fn empty(&self) -> Error {
        self.reader.malformed("it takes more from the stack than there is")
    }

    /// Where on the stack the last mark is, which is taken away.
    fn unmark(&mut self) -> Result<usize> {
        self.marks.pop().ok_or_else(|| self.reader.malformed("a mark is missing"))
    }

    fn opaque(&mut self, bytes: u64) -> Result<()> {
        self.reader.skip(bytes)?;
        self.push(Value::Opaque)
    }

    fn long(&mut self, len: u64) -> Result<()> {
        if len > 8 {
            return self.opaque(len);
        }
        let bytes = self.reader.bytes(len, 8)?;
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(&bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, len: u64) -> Result<()> {
        let at = self.reader.skip(len)?;
        match u32::try_from(len) {
            Ok(len) => self.push(Value::Text { at, len }),
            Err(_) => self.push(Value::Opaque),
        }
    }

    fn bytes(&mut self, len: u64) -> Result<()> {
        let at = self.reader.skip(len)?;
        let span = self.heap.span(at, len)?;
        self.push(span)
    }

    /// A line without its end.
    fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let byte = self.reader.byte()?;
            self.effort.lines += 1;
            if byte == b'\n' {
                return Ok(line);
            }
            if line.len() as u64 == MAX_LINE || self.effort.lines > MAX_LINES {
                return Err(Error::Limit { format: FORMAT, what: "the lines", limit: MAX_LINE });
            }
            line.push(byte);
        }
    }

    /// A text of the old kind. Escapes stay as they are.
    fn line_text(&mut self, quoted: bool) -> Result<()> {
        let at = self.reader.position();
        let len = self.line()?.len() as u32;
        match quoted && len >= 2 {
            true => self.push(Value::Text { at: at + 1, len: len - 2 }),
            false => self.push(Value::Text { at, len }),
        }
    }

    fn index(&mut self) -> Result<usize> {
        match number(&self.line()?) {
            Value::Int(n) => usize::try_from(n).map_err(|_| self.reader.malformed("the memo")),
            _ => Err(self.reader.malformed("the memo")),
        }
    }

    fn put(&mut self, at: usize) -> Result<()> {
        if at > self.memo.len() + MAX_AHEAD {
            return Err(self.reader.malformed(format!("entry {at} of the memo comes too early")));
        }
        let top = self.top()?;
        while self.memo.len() <= at {
            self.heap.budget.push(&mut self.memo, Value::Opaque)?;
        }
        self.memo[at] = top;
        Ok(())
    }

    fn get(&mut self, at: usize) -> Result<()> {
        match self.memo.get(at) {
            Some(&value) => self.push(value),
            None => Err(self.reader.malformed(format!("entry {at} of the memo does not exist"))),
        }
    }

    fn tuple_from(&mut self, from: usize) -> Result<()> {
        let items = self.stack.get(from..).ok_or_else(|| self.empty())?;
        let tuple = self.heap.tuple(items)?;
        self.stack.truncate(from);
        self.push(tuple)
    }

    fn container(&mut self, kind: fn(u32) -> Value, from: Option<usize>) -> Result<()> {
        let container = kind(self.heap.list()?);
        if let Some(from) = from {
            let items = self.stack.get(from..).ok_or_else(|| self.empty())?;
            self.heap.extend(container, false, items)?;
            self.stack.truncate(from);
        }
        self.push(container)
    }

    /// Puts what lies above `from` into what lies below.
    fn put_into(&mut self, dict: bool, from: usize) -> Result<()> {
        let below = from.checked_sub(1).and_then(|below| self.stack.get(below));
        let into = *below.ok_or_else(|| self.empty())?;
        let items = self.stack.get(from..).ok_or_else(|| self.empty())?;
        if dict && !items.len().is_multiple_of(2) {
            return Err(self.reader.malformed("a key has no value"));
        }
        self.heap.extend(into, dict, items)?;
        self.stack.truncate(from);
        Ok(())
    }

    /// A class by two lines: its module, its name.
    fn global(&mut self) -> Result<Value> {
        let (module, name) = (self.line()?, self.line()?);
        if module.len() > MAX_CLASS || name.len() > MAX_CLASS {
            let limit = MAX_CLASS as u64;
            return Err(Error::Limit { format: FORMAT, what: "the name of a class", limit });
        }
        let name = [&module[..], b".", &name[..]].concat();
        self.heap.class(String::from_utf8_lossy(&name).into_owned())
    }

    fn stack_global(&mut self, module: Value, name: Value) -> Result<Value> {
        if let Some(&class) = self.effort.named.get(&(module, name)) {
            return Ok(class);
        }
        let texts = (self.heap.text(module, MAX_CLASS)?, self.heap.text(name, MAX_CLASS)?);
        let (Some(module_text), Some(name_text)) = texts else {
            return Err(self.reader.malformed("the name of a class is not text"));
        };
        let class = self.heap.class(format!("{module_text}.{name_text}"))?;
        self.heap.budget.take_entry::<[Value; 3]>(0)?;
        self.effort.named.insert((module, name), class);
        Ok(class)
    }

    fn call(&mut self, class: Value, args: Value) -> Result<()> {
        // How the first protocols make an object without arguments.
        let old = matches!(
            self.heap.class_name(class),
            "copy_reg._reconstructor" | "copyreg._reconstructor"
        );
        if let (true, Some(&class @ Value::Class(_))) = (old, self.heap.items(args).first()) {
            return self.call(class, Value::Opaque);
        }
        let object = self.heap.object(class, args)?;
        self.push(object)
    }

    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let top = self.top()?;
        let Some(object) = self.heap.object_mut(top) else { return Ok(()) };
        object.state = state;
        let class = object.class;
        if self.heap.class_name(class) == arrays::JOBLIB {
            let data = self.joblib(state)?;
            if let Some(object) = self.heap.object_mut(top) {
                object.args = data;
            }
        }
        Ok(())
    }

    /// joblib writes an array behind the opcode that ends its description: a byte that says how much
    /// padding follows, the padding, the elements. An array of objects is a pickle of its own.
    fn joblib(&mut self, state: Value) -> Result<Value> {
        self.spend(STEPS_OF_ARRAY)?;
        let described = arrays::joblib(self.heap, state)?;
        let described = described.ok_or_else(|| self.reader.malformed("an array of joblib"))?;
        if described.objects {
            if self.depth == MAX_DEPTH {
                let limit = MAX_DEPTH.into();
                return Err(Error::Limit { format: FORMAT, what: "the nesting", limit });
            }
            return Machine::new(self.reader, self.heap, self.effort, self.depth + 1).run();
        }
        if described.aligned {
            let padding = self.reader.byte()?;
            self.reader.skip(padding.into())?;
        }
        let len = described.array.len();
        let len = len.ok_or_else(|| self.reader.malformed("an array of joblib of unknown size"))?;
        let at = self.reader.skip(len)?;
        self.heap.span(at, len)
    }
}

/// `5`, `5L`; `00` and `01` are how the oldest protocol writes a bool.
fn number(line: &[u8]) -> Value {
    let text = std::str::from_utf8(line).unwrap_or_default().trim();
    match text {
        "00" => Value::Bool(false),
        "01" => Value::Bool(true),
        _ => text.trim_end_matches('L').parse().map_or(Value::Opaque, Value::Int),
    }
}
