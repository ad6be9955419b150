//! Footers that pyarrow wrote, and what is left of them when they are damaged.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats");
    fs::read(folder.join(name)).unwrap()
}

#[test]
fn rows_columns_and_row_groups_are_read_from_the_footer() {
    let layout = ParquetLayout::read(&fixture("small.parquet")).unwrap();
    assert_eq!(layout.rows, 10);
    let columns: Vec<_> =
        layout.columns.iter().map(|c| (c.path.as_str(), c.kind.as_str())).collect();
    assert_eq!(columns, [("id", "int64"), ("price", "double"), ("name", "string")]);
    assert!(layout.columns.iter().all(|c| c.optional && !c.repeated));
    assert_eq!(layout.row_groups.iter().map(|g| g.rows).collect::<Vec<_>>(), [4, 4, 2]);
    // As `pyarrow.parquet.ParquetFile(…).metadata` says.
    let first = [(4, 71), (75, 67), (142, 65)].map(|(offset, len)| Chunk { offset, len });
    assert_eq!(layout.row_groups[0].chunks, first);
    assert_eq!(layout.row_groups[1].range(), Some(Chunk { offset: 207, len: 416 - 207 }));
}

#[test]
fn every_type_has_a_name_and_nested_columns_have_dotted_paths() {
    let layout = ParquetLayout::read(&fixture("types.parquet")).unwrap();
    let columns: Vec<_> = layout
        .columns
        .iter()
        .map(|c| {
            let marks = [(c.optional, '?'), (c.repeated, '*')];
            let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect();
            format!("{}:{}{marks}", c.path, c.kind)
        })
        .collect();
    assert_eq!(
        columns,
        [
            "i8:int8",
            "u32:uint32?",
            "f32:float?",
            "flag:bool?",
            "day:date?",
            "at:timestamp[us, UTC]?",
            "clock:time[us]?",
            "cost:decimal(9, 2)?",
            "raw:binary?",
            "half:float16?",
            "list.list.element:int32?*",
            "pair.x:double?",
            "pair.y:string?",
            "map.key_value.key:string?*",
            "map.key_value.value:int32?*",
        ]
    );
}

#[test]
fn a_file_that_ends_too_soon_is_refused_wherever_it_ends() {
    let whole = fixture("types.parquet");
    for len in 0..whole.len() {
        let error = ParquetLayout::read(&whole[..len].to_vec()).unwrap_err();
        assert!(error.is_opaque(), "{len}: {error}");
    }
}

#[test]
fn any_changed_byte_gives_a_layout_inside_the_file_or_an_error() {
    for name in ["small.parquet", "types.parquet"] {
        let whole = fixture(name);
        for at in 0..whole.len() {
            for change in [0x01, 0x10, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                match ParquetLayout::read(&bytes) {
                    Ok(layout) => {
                        for chunk in layout.row_groups.iter().flat_map(|group| &group.chunks) {
                            assert!(chunk.offset + chunk.len <= bytes.len() as u64);
                        }
                    }
                    Err(error) => assert!(error.is_opaque(), "{error}"),
                }
            }
        }
    }
}

#[test]
fn the_pages_of_a_chunk_are_all_of_it() {
    for name in ["small.parquet", "types.parquet", "more.parquet", "retyped.parquet"] {
        let bytes = fixture(name);
        let layout = ParquetLayout::read(&bytes).unwrap();
        for chunk in layout.row_groups.iter().flat_map(|group| &group.chunks) {
            let mut pages = &bytes[chunk.offset as usize..][..chunk.len as usize];
            while !pages.is_empty() {
                let len = page_len(pages).unwrap();
                pages = pages.get(len as usize..).unwrap();
            }
        }
    }
    let page = b"\x15\x00\x15\x0a\x15\x0a\x00";
    assert_eq!(page_len(page).unwrap(), page.len() as u64 + 5);
    for wrong in
        [&page[..6], b"\x15\x08\x15\x0a\x15\x0a\x00", b"\x15\x00\x15\x0a\x15\x09\x00", b"\x00"]
    {
        assert!(page_len(wrong).unwrap_err().is_opaque());
    }
}

/// A file with this footer.
fn with_footer(footer: &[u8]) -> Vec<u8> {
    let len = (footer.len() as u32).to_le_bytes();
    [MAGIC, footer, &len, MAGIC].concat()
}

#[test]
fn huge_counts_are_refused_before_anything_is_allocated() {
    for footer in [
        // A schema, row groups and a skipped list of 2^62 elements; a text of 2^62 bytes.
        &b"\x29\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x3f"[..],
        b"\x49\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x3f",
        b"\x59\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x3f",
        b"\x68\xff\xff\xff\xff\xff\xff\xff\xff\x3f",
        // An integer of eleven bytes.
        b"\x36\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"",
    ] {
        let error = ParquetLayout::read(&with_footer(footer)).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
    let mut long = with_footer(b"\0");
    let at = long.len() - 8;
    long[at..at + 4].copy_from_slice(&(MAX_HEADER as u32 + 1).to_le_bytes());
    assert!(matches!(ParquetLayout::read(&long), Err(Error::Limit { .. })));
}

#[test]
fn values_nested_without_end_are_refused() {
    let deep = [b"\x7c".repeat(100_000), b"\0".repeat(100_000)].concat();
    assert!(matches!(ParquetLayout::read(&with_footer(&deep)), Err(Error::Malformed { .. })));
}

#[test]
fn a_long_name_that_many_columns_repeat_is_refused() {
    // A group with a name of 64 KiB and 10,000 columns in it: 600 MiB of paths.
    let mut schema = b"\x29\xfc\x92\x4e".to_vec();
    schema.extend(b"\x48\x01r\x15\x02\0");
    schema.extend(b"\x48\x80\x80\x04");
    schema.extend(b"g".repeat(1 << 16));
    schema.extend(b"\x15\xa0\x9c\x01\0");
    for _ in 0..10_000 {
        schema.extend(b"\x15\x02\x38\x01c\0");
    }
    schema.push(0);
    let error = ParquetLayout::read(&with_footer(&schema)).unwrap_err();
    assert!(matches!(error, Error::Limit { what: "the names of columns", .. }), "{error}");
}

proptest! {
    #[test]
    fn random_footers_give_a_layout_or_an_error(footer in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = ParquetLayout::read(&with_footer(&footer)) {
            prop_assert!(error.is_opaque());
        }
    }
}
