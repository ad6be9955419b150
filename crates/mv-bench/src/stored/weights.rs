//! Rows of weights: checkpoints, fine-tunes, variants, other forms of the same numbers.

use crate::failure::Result;
use crate::generate::{adam, container, int8};
use crate::tensors::{Dtype, Tensor, Tensors};

use super::Bench;
use super::row::Row;

const MODEL: &str = "model.safetensors";

/// Weights of the model that the samples were cut from: 6 layers of width 512, 8192 words.
const WHOLE: f64 = 27_335_168.0;
/// Those of two layers and of the head.
const LAST_LAYERS: f64 = 2.0 * 12.0 * 512.0 * 512.0 + 8192.0 * 512.0;
/// Those of four attention matrices a layer.
const ATTENTION: f64 = 6.0 * 4.0 * 512.0 * 512.0;

/// First versions.
pub(super) fn first(bench: &Bench) -> Result<Vec<Row>> {
    let bf16 = bench.sample("train-bf16/v8.safetensors")?;
    let fp32 = bench.sample("train-fp32/v8.safetensors")?;
    let cases =
        [("bf16", 66.5, &bf16), ("fp32", 83.2, &fp32), ("fp16", 84.5, &fp32.cast(Dtype::F16))];
    let row = |(name, goal, tensors): (&str, f64, &Tensors)| {
        let grown = history(bench, &[tensors])?;
        Ok(bench.row("first version", name, len(tensors), grown[0]).goal(goal))
    };
    cases.into_iter().map(row).collect()
}

/// The checkpoints of one training run.
pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (dtype, versions, goals) in [("bf16", 5..=8, [33.0, 50.0]), ("fp32", 6..=8, [66.0, 74.0])] {
        let name = |v| format!("train-{dtype}/v{v}.safetensors");
        let read = versions.clone().map(|v| bench.sample(&name(v))).collect::<Result<Vec<_>>>()?;
        let grown = history(bench, &read.iter().collect::<Vec<_>>())?;
        let last = grown.last().copied().unwrap_or(0);
        let one = len(&read[0]);
        let pair: Vec<_> = read.iter().skip(read.len() - 2).collect();
        let step = history(bench, &pair)?[1];
        rows.push(
            bench.row("training step", &format!("{dtype}, v8 after v7"), one, step).goal(goals[0]),
        );
        // Chains are short: there the base may be an older version.
        let name = format!("{dtype}, v8 at the end of the run");
        rows.push(bench.row("training step", &name, one, last));
        let (count, all) = (read.len() as u64, grown.iter().sum::<u64>());
        let row = bench.row("training run", &format!("{dtype}, mean of {count}"), one, all / count);
        rows.push(row.goal(goals[1]).note("the goal is for a run of 8"));
    }
    Ok(rows)
}

/// A full fine-tune at a low rate.
pub(super) fn finetune(bench: &Bench) -> Result<Vec<Row>> {
    let names = ["v1-base", "v2", "v3", "v4"];
    let read = |name| bench.sample(&format!("finetune-bf16/{name}.safetensors"));
    let versions = names.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    let grown = history(bench, &versions.iter().collect::<Vec<_>>())?;
    let mean = grown[1..].iter().sum::<u64>() / (grown.len() - 1) as u64;
    Ok(vec![bench.row("fine-tune", "bf16, mean of v2 to v4", len(&versions[0]), mean).goal(18.5)])
}

/// Variants of one base in which a part of the tensors changed.
pub(super) fn family(bench: &Bench) -> Result<Vec<Row>> {
    let base = bench.sample("family-bf16/v1-base.safetensors")?;
    let cases = [
        ("frozen layers", "v2-last-layers", LAST_LAYERS, 14.0),
        ("LoRA merged", "v3-lora-merged", ATTENTION, 9.0),
    ];
    let row = |(family, name, weights, goal): (&'static str, &str, f64, f64)| {
        let variant = bench.sample(&format!("family-bf16/{name}.safetensors"))?;
        let grown = history(bench, &[&base, &variant])?;
        let changed = changed(&base, &variant) as f64;
        let row = bench.row(family, &format!("bf16, {name}"), len(&variant), grown[1]).goal(goal);
        let of_changed = row.net() as f64 / changed;
        let in_sample = changed / variant.bytes() as f64;
        let in_whole = weights / WHOLE;
        Ok(row.whole(of_changed * in_whole * 100.0).note(format!(
            "{:.1} % of what changed; that is {:.0} % of the sample, {:.1} % of the model",
            of_changed * 100.0,
            in_sample * 100.0,
            in_whole * 100.0
        )))
    };
    cases.into_iter().map(row).collect()
}

/// A variant with more rows in its embeddings.
pub(super) fn vocabulary(bench: &Bench) -> Result<Vec<Row>> {
    let base = bench.sample("family-bf16/v1-base.safetensors")?;
    let longer = bench.sample("family-bf16/v4-vocabulary-extended.safetensors")?;
    let grown = history(bench, &[&base, &longer])?;
    let rows = new_rows(&base, &longer);
    // The new rows are news wherever they stand: what they take alone is what no method avoids.
    let alone = history(bench, &[&rows])?[0].saturating_sub(bench.fixed);
    let row = bench.row("vocabulary", "bf16, 64 rows more", len(&longer), grown[1]).goal(0.3);
    let whole = row.net() as f64 * 100.0 / (2.0 * WHOLE + rows.bytes() as f64);
    let beyond = row.net().saturating_sub(alone) as f64 * 100.0 / len(&longer) as f64;
    let note = format!(
        "the new rows are {:.1} % of the sample and take {alone} bytes alone; beyond those {beyond:.3} %",
        rows.bytes() as f64 * 100.0 / len(&longer) as f64
    );
    Ok(vec![row.whole(whole).note(note)])
}

/// A fine-tuned model quantised anew.
pub(super) fn int8(bench: &Bench) -> Result<Vec<Row>> {
    let read = |name| bench.sample(&format!("finetune-bf16/{name}.safetensors"));
    let (base, tuned) = (int8::quantised(&read("v1-base")?), int8::quantised(&read("v4")?));
    let grown = history(bench, &[&base, &tuned])?;
    Ok(vec![
        bench.row("int8", "first version", len(&base), grown[0]),
        bench.row("int8", "fine-tuned, quantised anew", len(&tuned), grown[1]).goal(21.0),
    ])
}

/// A bf16 file beside the fp32 file that it was cast from.
pub(super) fn twin(bench: &Bench) -> Result<Vec<Row>> {
    let fp32 = bench.sample("train-fp32/v8.safetensors")?;
    let bf16 = fp32.cast(Dtype::Bf16);
    let alone = history(bench, &[&fp32])?[0];
    let both = bench.project()?;
    both.write(MODEL, &fp32.file())?;
    both.write("model.bf16.safetensors", &bf16.file())?;
    let together = both.commit()?.written.saturating_sub(alone);
    let later = bench.project()?;
    later.write(MODEL, &fp32.file())?;
    later.commit()?;
    later.write("model.bf16.safetensors", &bf16.file())?;
    let after = later.commit()?.written;
    let raw = len(&bf16);
    let mut same = bench.row("bf16 twin", "in the same commit", raw, together).goal(0.1);
    same.fixed = 0;
    Ok(vec![same, bench.row("bf16 twin", "in a later commit", raw, after).goal(0.1)])
}

/// The tensors of a stored safetensors file in other files.
pub(super) fn container(bench: &Bench) -> Result<Vec<Row>> {
    let tensors = bench.sample("train-fp32/v8.safetensors")?;
    let arrays: Vec<(String, Vec<u8>)> =
        tensors.0.iter().map(|t| (format!("arrays/{}.npy", t.name), container::npy(t))).collect();
    let cases = [
        (".npz, stored", vec![("model.npz".to_owned(), container::npz(&tensors)?)]),
        (".npy, one each", arrays),
        ("torch zip", vec![("model.pt".to_owned(), container::torch(&tensors)?)]),
    ];
    let row = |(name, files): (&str, Vec<(String, Vec<u8>)>)| {
        let project = bench.project()?;
        project.write(MODEL, &tensors.file())?;
        project.commit()?;
        files.iter().try_for_each(|(path, bytes)| project.write(path, bytes))?;
        let raw = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        Ok(bench.row("other container", name, raw, project.commit()?.written).goal(0.1))
    };
    cases.into_iter().map(row).collect()
}

/// The optimiser's state beside the checkpoints.
pub(super) fn adam(bench: &Bench) -> Result<Vec<Row>> {
    let read = |v| bench.sample(&format!("train-fp32/v{v}.safetensors"));
    let states = adam::states(&read(7)?, &read(8)?, 0xada);
    let grown = history(bench, &[&states[0], &states[1]])?;
    let raw = len(&states[0]);
    Ok(vec![
        bench.row("Adam state", "fp32, first", raw, grown[0]),
        bench.row("Adam state", "fp32, 45 steps later", raw, grown[1]).goal(81.0),
    ])
}

/// Commits the versions one after the other under one name; what each stored.
fn history(bench: &Bench, versions: &[&Tensors]) -> Result<Vec<u64>> {
    let project = bench.project()?;
    let commit = |tensors: &&Tensors| {
        project.write(MODEL, &tensors.file())?;
        Ok(project.commit()?.written)
    };
    versions.iter().map(commit).collect()
}

fn len(tensors: &Tensors) -> u64 {
    tensors.file().len() as u64
}

/// Bytes of the tensors that are new or differ.
fn changed(base: &Tensors, other: &Tensors) -> u64 {
    let differs = |t: &&Tensor| base.get(&t.name) != Some(*t);
    other.0.iter().filter(differs).map(|t| t.bytes.len() as u64).sum()
}

/// The rows of the longer tensors that the base does not have.
fn new_rows(base: &Tensors, longer: &Tensors) -> Tensors {
    let rest = |t: &Tensor| {
        let old = base.get(&t.name)?;
        let bytes = t.bytes.strip_prefix(old.bytes.as_slice())?.to_vec();
        let rows = bytes.len() / t.dtype.bytes() / t.rows().1;
        (rows > 0).then(|| Tensor { shape: vec![rows, t.rows().1], bytes, ..t.clone() })
    };
    Tensors(longer.0.iter().filter_map(rest).collect())
}
