//! The codecs of numbers and of differences, on real weights, one thread each.
//!
//! Blocks of 1 MiB as a commit makes them. `mv-store` opens its codecs for this behind the feature that
//! fuzz targets use.

use std::hint::black_box;
use std::path::Path;

use mv_store::fuzzing::{Form, decode, encode};
use mv_store::{Element, Encoding};

use crate::failure::Result;
use crate::generate::table::{self, Change};
use crate::tensors::{Dtype, Tensors};

use super::Step;

/// Raw bytes of a block.
const BLOCK: usize = 1 << 20;

/// A block and what it is coded against.
struct Block {
    raw: Vec<u8>,
    base: Vec<u8>,
    stored: Vec<u8>,
}

/// One codec on one kind of data.
pub(super) struct Case {
    names: [&'static str; 2],
    encoding: Encoding,
    element: Element,
    of: Element,
    blocks: Vec<Block>,
}

impl Case {
    /// `scale` is how many bytes of the base stand beside one of the block.
    fn new(
        names: [&'static str; 2],
        encoding: Encoding,
        [element, of]: [Element; 2],
        raw: &[u8],
        base: &[u8],
        scale: usize,
    ) -> Case {
        let bases =
            base.chunks(BLOCK * scale).map(<[u8]>::to_vec).chain(std::iter::repeat(Vec::new()));
        let blocks = raw.chunks(BLOCK).zip(bases).filter_map(|(raw, base)| {
            let form = Form { encoding, element, of, base: &base, start: 0 };
            let stored = encode(&form, raw)?;
            Some(Block { raw: raw.to_vec(), base, stored })
        });
        Case { names, encoding, element, of, blocks: blocks.collect() }
    }

    fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.raw.len()).sum()
    }

    fn encode(&self) {
        for Block { raw, base, .. } in &self.blocks {
            let (encoding, element, of) = (self.encoding, self.element, self.of);
            black_box(encode(&Form { encoding, element, of, base, start: 0 }, raw));
        }
    }

    fn decode(&self) -> Result<()> {
        for Block { raw, base, stored } in &self.blocks {
            black_box(decode(self.encoding, stored, base, raw.len())?);
        }
        Ok(())
    }
}

/// The cases: those of numbers only where there are samples.
pub(super) fn prepare(data: Option<&Path>) -> Result<Vec<Case>> {
    let mut cases = vec![edited_table()?];
    let Some(data) = data else { return Ok(cases) };
    let all =
        |tensors: &Tensors| tensors.0.iter().flat_map(|t| t.bytes.clone()).collect::<Vec<u8>>();
    let sample = |name: &str| Tensors::read(&data.join(name));
    let [b7, b8] = [sample("train-bf16/v7.safetensors")?, sample("train-bf16/v8.safetensors")?]
        .map(|t| all(&t));
    let (f7, f8) = (sample("train-fp32/v7.safetensors")?, sample("train-fp32/v8.safetensors")?);
    let twin = all(&f8.cast(Dtype::Bf16));
    let (f7, f8) = (all(&f7), all(&f8));
    let (bf16, f32) = ([Element::Bf16; 2], [Element::F32; 2]);
    cases.extend([
        Case::new(["float bf16, encode", "float bf16, decode"], Encoding::Float, bf16, &b8, &[], 1),
        Case::new(["float fp32, encode", "float fp32, decode"], Encoding::Float, f32, &f8, &[], 1),
        Case::new(["delta bf16, encode", "delta bf16, decode"], Encoding::Delta, bf16, &b8, &b7, 1),
        Case::new(["delta fp32, encode", "delta fp32, decode"], Encoding::Delta, f32, &f8, &f7, 1),
        Case::new(
            ["cast fp32 to bf16, encode", "cast fp32 to bf16, decode"],
            Encoding::Cast,
            [Element::Bf16, Element::F32],
            &twin,
            &f8,
            2,
        ),
    ]);
    Ok(cases)
}

/// A table in which every hundredth row was edited, against the one before.
fn edited_table() -> Result<Case> {
    let [mut before, mut after] = [Vec::new(), Vec::new()];
    table::write(&mut before, 60_000, Change::None, 1)?;
    table::write(&mut after, 60_000, Change::Scattered, 1)?;
    let names = ["diff of an edited CSV, encode", "diff of an edited CSV, decode"];
    Ok(Case::new(names, Encoding::Diff, [Element::Byte; 2], &after, &before, 1))
}

/// The steps, both ways of each case.
pub(super) fn steps<'a>(cases: &'a [Case]) -> Vec<Step<'a>> {
    let both = |case: &'a Case| {
        let [encode, decode] = case.names;
        [
            Step::new(encode, case.bytes(), || {
                case.encode();
                Ok(())
            }),
            Step::new(decode, case.bytes(), || case.decode()),
        ]
    };
    cases.iter().filter(|case| case.bytes() > 0).flat_map(both).collect()
}
