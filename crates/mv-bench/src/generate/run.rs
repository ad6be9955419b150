//! [`Run`]: the checkpoints of one long training, grown from real tensors.
//!
//! A few megabytes of real weights are laid out again and again, each time with rows and columns in
//! another order and other signs: every tile has their distribution and none of their bytes. Each
//! step then moves all weights by about the same absolute amount, some rows more than others, less
//! and less as the training goes on. That is what an optimiser does, and why the change of a number,
//! counted in its last places, depends on its exponent.

use std::f64::consts::PI;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use rayon::prelude::*;

use crate::failure::{At, Result};
use crate::random::Random;
use crate::tensors::{Dtype, Tensor, Tensors, append, header};

/// How far weights move in one step at first and in the end: deviations seen between checkpoints of
/// the sample run, which lie 45 optimiser steps apart.
const MOVES: [f64; 2] = [6e-4, 3e-4];
/// How much rows differ in how far they move.
const SPREAD: f32 = 0.3;
/// The tensor that is made when there is no sample: a matrix of this width.
const WIDTH: usize = 512;

/// A training run at one moment.
#[derive(Debug)]
pub(crate) struct Run {
    seed: u64,
    layers: Vec<Layer>,
    taken: u64,
}

#[derive(Debug)]
struct Layer {
    name: String,
    shape: Vec<usize>,
    width: usize,
    weights: Vec<f32>,
    /// How far each row moves beside the others.
    pace: Vec<f32>,
}

impl Run {
    /// A model of at least `numbers` weights, laid out from the matrices of `sample`.
    pub(crate) fn start(sample: Option<&Tensors>, numbers: usize, seed: u64) -> Run {
        let matrices = matrices(sample, seed);
        let each: usize = matrices.iter().map(|(.., values)| values.len()).sum();
        let tiles = numbers.div_ceil(each.max(1));
        let places: Vec<(usize, usize)> =
            (0..tiles).flat_map(|tile| (0..matrices.len()).map(move |n| (tile, n))).collect();
        let layers = places.par_iter().enumerate().map(|(turn, &(tile, n))| {
            let (name, width, values) = &matrices[n];
            let mut random = Random::stream(seed, turn as u64);
            let weights = shuffled(values, *width, &mut random);
            let rows = weights.len() / width;
            let pace = (0..rows).map(|_| (1.0 + SPREAD * random.normal()).max(0.1)).collect();
            Layer {
                name: format!("tiles.{tile}.{name}"),
                shape: vec![rows, *width],
                width: *width,
                weights,
                pace,
            }
        });
        Run { seed, layers: layers.collect(), taken: 0 }
    }

    /// One step of `steps`: every weight moves a little.
    pub(crate) fn step(&mut self, steps: u64) {
        self.taken += 1;
        let done = self.taken as f64 / steps.max(1) as f64;
        let part = f64::midpoint(1.0, (PI * done.min(1.0)).cos());
        let size = (MOVES[1] + (MOVES[0] - MOVES[1]) * part) as f32;
        let (seed, taken) = (self.seed, self.taken);
        self.layers.par_iter_mut().enumerate().for_each(|(n, layer)| {
            let mut random = Random::stream(seed.wrapping_add(taken), n as u64);
            for (row, pace) in layer.weights.chunks_mut(layer.width).zip(&layer.pace) {
                let size = size * pace;
                row.iter_mut().for_each(|weight| *weight += size * random.normal());
            }
        });
    }

    /// Saves a checkpoint and returns the length of its file.
    pub(crate) fn save(&self, path: &Path, dtype: Dtype) -> Result<u64> {
        let file = File::create(path).at("create", path)?;
        let mut out = BufWriter::new(file);
        let layout = self.layers.iter().map(|l| (l.name.as_str(), dtype, l.shape.as_slice()));
        let head = header(layout);
        let mut len = head.len() as u64;
        out.write_all(&head).at("write", path)?;
        let mut bytes = Vec::new();
        for layer in &self.layers {
            bytes.clear();
            append(&mut bytes, dtype, &layer.weights);
            len += bytes.len() as u64;
            out.write_all(&bytes).at("write", path)?;
        }
        out.flush().at("write", path)?;
        Ok(len)
    }
}

/// Name, width and numbers of each matrix of the sample, or of one that is made up.
fn matrices(sample: Option<&Tensors>, seed: u64) -> Vec<(String, usize, Vec<f32>)> {
    let of = |t: &Tensor| {
        let (rows, width) = t.rows();
        Some((t.name.clone(), width, t.floats().filter(|_| rows > 1)?))
    };
    let found: Vec<_> = sample.iter().flat_map(|s| &s.0).filter_map(of).collect();
    if !found.is_empty() {
        return found;
    }
    let mut random = Random::stream(seed, u64::MAX);
    let mut values = Vec::with_capacity(WIDTH * WIDTH);
    for _ in 0..WIDTH {
        let size = 0.02 * (1.0 + SPREAD * random.normal()).max(0.1);
        values.extend((0..WIDTH).map(|_| size * random.normal()));
    }
    vec![("weight".into(), WIDTH, values)]
}

/// The matrix with its rows and columns in another order and with other signs.
fn shuffled(values: &[f32], width: usize, random: &mut Random) -> Vec<f32> {
    let rows = random.order(values.len() / width);
    let columns: Vec<(usize, f32)> =
        random.order(width).into_iter().map(|at| (at, sign(random))).collect();
    let mut out = Vec::with_capacity(values.len());
    for row in rows {
        let (flip, row) = (sign(random), &values[row * width..][..width]);
        out.extend(columns.iter().map(|(at, sign)| row[*at] * sign * flip));
    }
    out
}

fn sign(random: &mut Random) -> f32 {
    if random.number() & 1 == 0 { 1.0 } else { -1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(values: impl Iterator<Item = f32>) -> f64 {
        let (sum, n) = values.fold((0.0, 0.0), |(s, n), v| (s + f64::from(v).powi(2), n + 1.0));
        (sum / n).sqrt()
    }

    #[test]
    fn tiles_share_their_distribution_and_no_bytes() {
        let run = Run::start(None, 3 * WIDTH * WIDTH, 1);
        assert_eq!(run.layers.len(), 3);
        let [a, b] = [&run.layers[0].weights, &run.layers[1].weights];
        assert!((deviation(a.iter().copied()) - deviation(b.iter().copied())).abs() < 1e-9);
        let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
        assert!(equal < a.len() / 1000, "{equal}");
    }

    #[test]
    fn steps_move_every_weight_by_less_and_less() {
        let mut run = Run::start(None, WIDTH * WIDTH, 1);
        let mut moves = Vec::new();
        for _ in 0..10 {
            let before = run.layers[0].weights.clone();
            run.step(10);
            moves.push(deviation(run.layers[0].weights.iter().zip(&before).map(|(a, b)| a - b)));
        }
        assert!(moves.windows(2).all(|pair| pair[1] < pair[0] * 1.01), "{moves:?}");
        assert!((3e-4..7e-4).contains(&moves[5]), "{moves:?}");
    }

    #[test]
    fn a_run_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let saved = |name| {
            let mut run = Run::start(None, 10, 9);
            run.step(5);
            let path = dir.path().join(name);
            let len = run.save(&path, Dtype::Bf16).unwrap();
            let bytes = std::fs::read(path).unwrap();
            assert_eq!(bytes.len() as u64, len);
            bytes
        };
        assert_eq!(saved("a"), saved("b"));
    }
}
