//! Tensor files and tables like those of a project: weights as training leaves them, and the same
//! after a step; a table, and the same after an edit.

use crate::random::Random;

/// Named tensors of one file.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Name, numbers, and the length of a row.
    pub tensors: Vec<(String, Vec<f32>, usize)>,
    /// Whether they are stored in `bf16` and not in `f32`.
    pub narrow: bool,
}

fn normal(random: &mut Random) -> f32 {
    let sum: f32 = (0..4).map(|_| (random.number() >> 40) as f32 / (1u32 << 24) as f32).sum();
    (sum - 2.0) * 1.732
}

impl Weights {
    /// Layers of `rows` times 256 numbers, and a small tensor for each.
    #[must_use]
    pub fn new(layers: usize, rows: usize, narrow: bool, seed: u64) -> Weights {
        let mut random = Random::new(seed);
        let mut tensors = Vec::new();
        for layer in 0..layers {
            let mut draw = |count| (0..count).map(|_| normal(&mut random) * 0.02).collect();
            tensors.push((format!("layer{layer}.weight"), draw(rows * 256), 256));
            tensors.push((format!("layer{layer}.bias"), draw(256), 256));
        }
        Weights { tensors, narrow }
    }

    /// A step of training: all numbers move by about the same.
    pub fn train(&mut self, seed: u64) {
        let mut random = Random::new(seed);
        for (_, numbers, _) in &mut self.tensors {
            numbers.iter_mut().for_each(|n| *n += normal(&mut random) * 0.0002);
        }
    }

    /// Rows are added to the first tensor.
    pub fn grow(&mut self, rows: usize, seed: u64) {
        let mut random = Random::new(seed);
        let (_, numbers, row) = &mut self.tensors[0];
        numbers.extend((0..rows * *row).map(|_| normal(&mut random) * 0.02));
    }

    fn bytes_of(&self, numbers: &[f32]) -> Vec<u8> {
        let narrow = |n: &f32| {
            let bits = n.to_bits();
            ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
        };
        match self.narrow {
            true => numbers.iter().flat_map(|n| narrow(n).to_le_bytes()).collect(),
            false => numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
        }
    }

    /// As a safetensors file.
    #[must_use]
    pub fn safetensors(&self) -> Vec<u8> {
        let dtype = if self.narrow { "BF16" } else { "F32" };
        let (mut header, mut body) = (serde_json::Map::new(), Vec::new());
        for (name, numbers, row) in &self.tensors {
            let start = body.len();
            body.extend(self.bytes_of(numbers));
            header.insert(
                name.clone(),
                serde_json::json!({
                    "dtype": dtype,
                    "shape": [numbers.len() / row, row],
                    "data_offsets": [start, body.len()],
                }),
            );
        }
        let mut header = serde_json::to_vec(&header).unwrap();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(body);
        bytes
    }

    /// The first tensor as an npy file, in `f32`.
    #[must_use]
    pub fn npy(&self) -> Vec<u8> {
        let (_, numbers, row) = &self.tensors[0];
        let mut header = format!(
            "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {row}), }}",
            numbers.len() / row
        );
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        bytes
    }
}

/// A table of about this length.
#[must_use]
pub fn table(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = b"id,name,x,y\n".to_vec();
    let mut row = 0;
    while bytes.len() < len {
        let (x, y) = (random.number(), random.number());
        bytes.extend(format!("{row},n{:x},{},0.{}\n", x % 0xffff_ffff, y % 1000, x % 997).bytes());
        row += 1;
    }
    bytes
}

/// The table with some rows changed, added and gone: one in `every`.
#[must_use]
pub fn edit(table: &[u8], every: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(table.len() + 100);
    for line in table.split_inclusive(|byte| *byte == b'\n') {
        match random.below(every * 3) {
            0 => bytes.extend(format!("{},new,1,2\n", random.below(1000)).bytes()),
            1 => {}
            2 => {
                bytes.extend(line);
                bytes.extend(line);
            }
            _ => bytes.extend(line),
        }
    }
    bytes
}
