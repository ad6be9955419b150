//! Many small files: annotations, texts, settings, tables, and one in ten that does not compress.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::failure::{At, Result};
use crate::random::Random;

/// Files that make 100 MB.
pub(crate) const FILES: u64 = 20_000;
/// Files in one folder.
const FOLDER: u64 = 100;

const WORDS: [&str; 40] = [
    "alpha",
    "learning",
    "rate",
    "batch",
    "epoch",
    "loss",
    "weight",
    "decay",
    "warmup",
    "layer",
    "norm",
    "token",
    "vocabulary",
    "seed",
    "shard",
    "split",
    "train",
    "valid",
    "test",
    "label",
    "class",
    "image",
    "audio",
    "running",
    "model",
    "the",
    "of",
    "and",
    "in",
    "with",
    "between",
    "person",
    "street",
    "river",
    "evaluation",
    "threshold",
    "metric",
    "baseline",
    "sample",
    "mask",
];

/// Writes the files below `root`.
pub(crate) fn write(root: &Path, files: u64, seed: u64) -> Result<u64> {
    let mut bytes = 0;
    for n in 0..files {
        let folder = root.join(format!("{:03}", n / FOLDER));
        if n % FOLDER == 0 {
            fs::create_dir_all(&folder).at("create", &folder)?;
        }
        let (name, content) = file(n, seed);
        bytes += content.len() as u64;
        let path = folder.join(name);
        fs::write(&path, content).at("write", &path)?;
    }
    Ok(bytes)
}

/// One file of 1 to 9 KB.
fn file(n: u64, seed: u64) -> (String, Vec<u8>) {
    let mut r = Random::stream(seed, n);
    let len = 1000 + r.below(8000) as usize;
    let mut text = String::new();
    let kind = match n % 10 {
        0 => return (format!("{n:06}.jpg"), r.bytes(len)),
        1..=4 => {
            write_annotation(&mut text, &mut r, n, len);
            "json"
        }
        5 | 6 => {
            while text.len() < len {
                let end = if r.below(12) == 0 { ".\n" } else { " " };
                text.push_str(r.pick::<&str>(&WORDS));
                text.push_str(end);
            }
            "txt"
        }
        7 | 8 => {
            text += "frame,x,y,confidence\n";
            for frame in (0..900).cycle() {
                if text.len() >= len {
                    break;
                }
                let (x, y, confidence) = (r.unit(), r.unit(), r.unit());
                line(&mut text, format_args!("{frame},{x:.3},{y:.3},{confidence:.1}"));
            }
            "csv"
        }
        _ => {
            while text.len() < len {
                let (key, sub) = (r.pick(&WORDS), r.pick(&WORDS));
                line(
                    &mut text,
                    format_args!("{key}_{sub}:\n  enabled: true\n  value: {:.3}", r.unit()),
                );
            }
            "yaml"
        }
    };
    (format!("{n:06}.{kind}"), text.into_bytes())
}

fn write_annotation(text: &mut String, r: &mut Random, n: u64, len: usize) {
    line(text, format_args!("{{\n  \"image\": \"{n:012}.jpg\",\n  \"boxes\": ["));
    while text.len() < len {
        let (x, y, w, h) = (r.unit() * 640.0, r.unit() * 480.0, r.unit() * 200.0, r.unit() * 200.0);
        let label = r.pick(&WORDS);
        line(
            text,
            format_args!(
                "    {{\"label\": \"{label}\", \"bbox\": [{x:.1}, {y:.1}, {w:.1}, {h:.1}], \"crowd\": false}},"
            ),
        );
    }
    text.push_str("    null\n  ]\n}\n");
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("a string takes all text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_average_five_kilobytes_and_repeat() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = write(dir.path(), 1000, 1).unwrap();
        assert!((4500..5500).contains(&(bytes / 1000)), "{bytes}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 10);
        assert_eq!(file(7, 1), file(7, 1));
        assert_ne!(file(7, 1), file(17, 1));
    }

    #[test]
    fn annotations_are_json() {
        let (name, bytes) = file(3, 1);
        assert_eq!(name, "000003.json");
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
    }
}
