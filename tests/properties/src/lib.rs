//! What every decoder of stored or foreign bytes promises, as functions of arbitrary bytes that
//! panic when a promise is broken.
//!
//! Two drivers share them: the fuzz targets in `tests/fuzz`, which search for such bytes, and a test
//! of the ordinary suite, which replays what they found (`fixtures/fuzz`). Every target is listed in
//! [`TARGETS`] with the bytes that a search begins with.
//!
//! "No panic" is the least of it. Canonical decoders must give back the bytes that they read; what
//! parsers say must lie inside the file; and memory is measured where a [`Meter`] is installed.

#![allow(clippy::unwrap_used, reason = "a promise that is broken is a panic")]

mod codecs;
mod cursor;
pub mod forge;
mod meter;
mod zip;

mod graph;
mod layouts;
mod long;
mod models;
mod packs;
mod records;
mod tables;
mod texts;

pub use long::{Long, long_inputs};
pub use meter::{Meter, peak_of};

/// One thing that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its fuzz target and of the directory of its corpus.
    pub name: &'static str,
    /// Panics if the bytes break a promise.
    pub check: fn(&[u8]),
    /// Bytes to begin with, that a mutation can make much of.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Whether the model and data files in `fixtures/formats` are bytes to begin with as well.
    pub formats: bool,
}

const fn target(name: &'static str, check: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, check, seeds, formats: false }
}

const fn of_files(name: &'static str, check: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, check, seeds, formats: true }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("pack", packs::pack, packs::pack_seeds),
    target("pack_forged", packs::forged, packs::forged_seeds),
    target("zstd_block", packs::zstd_block, packs::zstd_seeds),
    target("chunk_list", packs::chunk_list, packs::list_seeds),
    target("columns", codecs::columns, codecs::columns_seeds),
    target("float", codecs::float, codecs::float_seeds),
    target("delta", codecs::delta, codecs::delta_seeds),
    target("cast", codecs::cast, codecs::cast_seeds),
    target("diff", codecs::diff, codecs::diff_seeds),
    target("state", graph::state, graph::state_seeds),
    target("manifest", graph::manifest, graph::manifest_seeds),
    target("tree", graph::tree, graph::tree_seeds),
    target("ledger", graph::ledger, graph::ledger_seeds),
    target("ref_name", graph::ref_name, graph::ref_name_seeds),
    target("repo_path", graph::repo_path, graph::repo_path_seeds),
    target("format_file", records::format_file, records::format_seeds),
    target("environment", records::environment, records::environment_seeds),
    target("checkout_mark", records::checkout_mark, records::mark_seeds),
    target("merge_note", records::merge_note, records::merge_seeds),
    target("stat_cache", records::stat_cache, records::stat_cache_seeds),
    target("seen", records::seen, records::seen_seeds),
    target("project_config", records::project_config, records::project_seeds),
    target("local_config", records::local_config, records::local_seeds),
    target("ignore_file", records::ignore_file, records::ignore_seeds),
    target("values_json", records::values_json, records::json_seeds),
    target("values_yaml", records::values_yaml, records::yaml_seeds),
    target("values_toml", records::values_toml, records::toml_seeds),
    of_files("safetensors", models::safetensors, models::safetensors_seeds),
    of_files("npy", models::npy, models::no_seeds),
    of_files("npz", models::npz, models::no_seeds),
    of_files("gguf", models::gguf, models::no_seeds),
    of_files("onnx", models::onnx, models::no_seeds),
    of_files("torch", models::torch, models::torch_seeds),
    of_files("pickle", models::pickle, models::pickle_seeds),
    of_files("joblib", models::joblib, models::no_seeds),
    of_files("detect", models::detect, models::detect_seeds),
    target("text_table", tables::text_table, tables::text_seeds),
    target("table_ranges", tables::ranges, tables::ranges_seeds),
    of_files("parquet", tables::parquet, tables::parquet_seeds),
    of_files("layout", layouts::layout, layouts::seeds),
    target("text_merge", texts::merge, texts::seeds),
    target("text_diff", texts::diff, texts::seeds),
];

/// The target of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
