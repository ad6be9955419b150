//! [`Walk`]: from the root of a pickle to its tensors and arrays, each under the path that leads there.

use crate::error::{Error, Result};
use crate::listing::Listing;
use crate::model::Location;
use crate::pickle::arrays::{self, Found};
use crate::pickle::heap::{Heap, Object, Run, Value};
use crate::pickle::torch::{self, Storages};

/// Values within values.
const MAX_DEPTH: usize = 256;
/// Bytes of one key.
const MAX_KEY: usize = 64 << 10;
/// What a name costs beside its bytes, and a step beside those of its key, which is read from the file.
const STEP: u64 = 32;

pub(crate) struct Walk<'a, 'h> {
    heap: &'a Heap<'h>,
    storages: &'a Storages,
    listing: &'a mut Listing,
    path: Vec<Step>,
    depth: usize,
    /// The name of the first steps of the path, and how long it was before each of them. Many tensors lie
    /// behind the same steps, whose keys are read once.
    name: String,
    named: Vec<usize>,
    /// Which items of tuples, lists and objects were entered. What is shared is entered once, so that
    /// neither cycles nor sharing cost anything.
    seen: [Vec<bool>; 3],
}

/// One step of a path. Names are put together only where a tensor is found.
#[derive(Clone, Copy)]
enum Step {
    Key(Value, usize),
    Index(usize),
    Arguments,
}

impl<'a, 'h> Walk<'a, 'h> {
    /// A walk that lists what it finds.
    pub(crate) fn new(
        heap: &'a Heap<'h>,
        storages: &'a Storages,
        listing: &'a mut Listing,
    ) -> Result<Walk<'a, 'h>> {
        let counts = heap.counts();
        listing.hold(counts.iter().sum())?;
        let seen = counts.map(|count| vec![false; count]);
        let (path, name, named) = (Vec::new(), String::new(), Vec::new());
        Ok(Walk { heap, storages, listing, path, depth: 0, name, named, seen })
    }

    /// Lists everything that can be reached from here.
    pub(crate) fn visit(&mut self, value: Value) -> Result<()> {
        if self.depth == MAX_DEPTH {
            let limit = MAX_DEPTH as u64;
            return Err(Error::Limit { format: "pickle", what: "the depth", limit });
        }
        self.depth += 1;
        self.enter(value)?;
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self, value: Value) -> Result<()> {
        match value {
            Value::Dict(number) if self.first(1, number) => self.pairs(value),
            Value::List(number) if self.first(1, number) => self.each(value),
            Value::Tuple(run) if run.len > 0 && self.first(0, run.first) => self.each(value),
            Value::Object(number) => match self.heap.as_object(value) {
                Some(object) => self.object(object, number),
                None => Ok(()),
            },
            Value::Persistent(run) => self.storage(run),
            _ => Ok(()),
        }
    }

    fn first(&mut self, kind: usize, number: u32) -> bool {
        let seen = self.seen[kind].get_mut(number as usize);
        seen.is_some_and(|seen| !std::mem::replace(seen, true))
    }

    fn step(&mut self, step: Step, value: Value) -> Result<()> {
        self.path.push(step);
        self.visit(value)?;
        self.path.pop();
        if self.named.len() > self.path.len() {
            self.name.truncate(self.named.pop().unwrap_or_default());
        }
        Ok(())
    }

    fn pairs(&mut self, dict: Value) -> Result<()> {
        let heap = self.heap;
        for (index, pair) in heap.items(dict).chunks_exact(2).enumerate() {
            self.step(Step::Key(pair[0], index), pair[1])?;
        }
        Ok(())
    }

    fn each(&mut self, list: Value) -> Result<()> {
        let heap = self.heap;
        for (index, &item) in heap.items(list).iter().enumerate() {
            self.step(Step::Index(index), item)?;
        }
        Ok(())
    }

    fn object(&mut self, object: Object, number: u32) -> Result<()> {
        // Entered before, and so no tensor: those are listed wherever they are found.
        if self.seen[2].get(number as usize) == Some(&true) {
            return Ok(());
        }
        if let Some(tensor) = torch::tensor(self.heap, object, self.storages)? {
            let name = self.name("tensor")?;
            return self.listing.tensor(name, tensor.dtype, tensor.shape, tensor.location);
        }
        let found = arrays::array(self.heap, object)?;
        if let Some(found) = found.as_ref().filter(|found| !found.objects) {
            return self.array(found);
        }
        self.first(2, number);
        if let Some(objects) = found {
            return self.visit(objects.data);
        }
        self.arguments(object)?;
        match object.state {
            Value::Tuple(run) if run.len == 2 => {
                // Attributes, then those in slots.
                for &part in self.heap.items(object.state) {
                    self.visit(part)?;
                }
            }
            state => self.visit(state)?,
        }
        self.visit(object.items)
    }

    fn arguments(&mut self, object: Object) -> Result<()> {
        let heap = self.heap;
        let pairs = heap.items(object.args).first().map_or(&[][..], |&list| heap.items(list));
        if heap.class_name(object.class) == "collections.OrderedDict" {
            // Python 2 hands over a list of pairs.
            for (index, &pair) in pairs.iter().enumerate() {
                if let &[key, value] = heap.items(pair) {
                    self.step(Step::Key(key, index), value)?;
                }
            }
            return Ok(());
        }
        self.step(Step::Arguments, object.args)
    }

    fn array(&mut self, found: &Found) -> Result<()> {
        let name = self.name("array")?;
        let wanted = found.array.len();
        let location = match self.heap.bytes(found.data) {
            // Bytes that the file holds in another encoding have another length.
            Some((at, len)) if wanted.is_none_or(|wanted| wanted == len) => {
                found.array.location(at, len)
            }
            _ => Location::Elsewhere,
        };
        let (dtype, shape) = found.array.parts();
        self.listing.tensor(name, dtype, shape, location)
    }

    /// A storage of its own, without a tensor.
    fn storage(&mut self, run: Run) -> Result<()> {
        let Some(tensor) = torch::storage(self.heap, run, self.storages)? else { return Ok(()) };
        let name = self.name("storage")?;
        self.listing.tensor(name, tensor.dtype, tensor.shape, tensor.location)
    }

    /// The path as text. The dicts in which a `torch.nn.Module` keeps its parts are left out, so that
    /// names are those of its `state_dict`.
    fn name(&mut self, root: &str) -> Result<String> {
        while let Some(&step) = self.path.get(self.named.len()) {
            self.named.push(self.name.len());
            self.extend(step)?;
        }
        self.listing.name(STEP + self.name.len() as u64)?;
        Ok(if self.name.is_empty() { root.to_owned() } else { self.name.clone() })
    }

    /// Adds one step to the name.
    fn extend(&mut self, step: Step) -> Result<()> {
        let key = match step {
            Step::Key(Value::Text { len, .. }, _) => u64::from(len),
            _ => 0,
        };
        self.listing.name(STEP + key)?;
        let part = match step {
            Step::Arguments => return Ok(()),
            Step::Index(index) => index.to_string(),
            Step::Key(Value::Int(n), _) => n.to_string(),
            Step::Key(key @ Value::Text { .. }, index) => {
                self.heap.text(key, MAX_KEY)?.unwrap_or_else(|| format!("#{index}"))
            }
            Step::Key(_, index) => format!("#{index}"),
        };
        if matches!(part.as_str(), "_modules" | "_parameters" | "_buffers") {
            return Ok(());
        }
        if !self.name.is_empty() {
            self.name.push('.');
        }
        self.name.push_str(&part);
        if self.name.len() > MAX_KEY {
            let limit = MAX_KEY as u64;
            return Err(Error::Limit { format: "pickle", what: "the length of a name", limit });
        }
        Ok(())
    }
}
