//! Layouts: the same tensor is the same part in every format, and no file has a layout that is not one.

mod archives;
mod broken;
mod same;

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use mv_formats::{Content, Dtype, FileSource, Layout, Part, Source, read_layout};

use crate::build::{self, pickle};

/// What holds for every layout, whatever the file was.
pub(crate) fn check(layout: &Layout, size: u64) {
    assert!(!layout.parts.is_empty());
    let mut free = 0;
    for part in &layout.parts {
        assert!(part.len > 0 && part.start >= free, "{part:?} begins before {free}");
        free = part.start.checked_add(part.len).expect("an end");
        assert!(free <= size, "{part:?} ends after {size}");
        if let Content::Tensor { dtype, shape } = &part.content {
            assert_eq!(dtype.bytes_of(shape.iter().product()), Some(part.len), "{part:?}");
        }
    }
}

/// The layout of a file, twice.
pub(crate) fn layout(name: &str, source: &dyn Source) -> Option<Layout> {
    let layout = read_layout(name, source).expect("reads");
    assert_eq!(read_layout(name, source).expect("reads"), layout);
    layout.inspect(|layout| check(layout, source.size()))
}

/// One line for each part: where it is, and what.
fn listed(name: &str, source: &dyn Source) -> String {
    let mut lines = String::new();
    for Part { start, len, content, name } in layout(name, source).expect("a layout").parts {
        let what = match content {
            Content::Tensor { dtype, shape } => format!("{dtype}{shape:?}"),
            Content::Opaque => "opaque".to_owned(),
        };
        let name = name.map_or("-".to_owned(), |name| format!("`{name}`"));
        writeln!(lines, "{start}+{len} {name} {what}").expect("memory");
    }
    lines
}

/// One file of `fixtures/formats`.
fn fixture(name: &str) -> FileSource {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats");
    FileSource::new(File::open(folder.join(name)).expect("the fixture")).expect("its size")
}

/// The tensors of a file as those who look for equal ones see them.
fn tensors(name: &str, source: &dyn Source) -> Vec<(String, Dtype, Vec<u64>, Vec<u8>)> {
    let parts = layout(name, source).expect("a layout").parts.into_iter();
    let mut tensors: Vec<_> = parts
        .filter_map(|part| {
            let bytes = source.read(part.start, part.len as usize).expect("its bytes");
            match part.content {
                Content::Tensor { dtype, shape } => {
                    Some((part.name.expect("a name"), dtype, shape, bytes))
                }
                Content::Opaque => None,
            }
        })
        .collect();
    tensors.sort();
    tensors
}

/// Some bytes that are not all alike.
fn bytes(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8)
        .collect()
}

/// An array of `f32`.
fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    let literal = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    [&build::npy(&literal), bytes].concat()
}

/// A pickle of a dict of tensors.
fn state(tensors: &[(&str, Vec<u8>)]) -> Vec<u8> {
    pickle::whole(&pickle::dict(tensors))
}
