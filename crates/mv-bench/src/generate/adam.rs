//! The state of Adam between two checkpoints, as it would lie beside them.
//!
//! No gradients are kept with the samples, so they are drawn: how large a weight's gradients are
//! follows from how far its row and its column moved between two real checkpoints, and a part of
//! each gradient points where the weight really went. `m` and `v` are then the moving averages that
//! Adam keeps of them and of their squares, over as many steps as lie between checkpoints. So `m`
//! forgets everything from one checkpoint to the next, and `v` remembers most.

use crate::random::Random;
use crate::tensors::{Dtype, Tensor, Tensors};

/// Steps before the first checkpoint, and between the two.
const STEPS: [usize; 2] = [150, 45];
const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
/// How much of a gradient is the way that the weight went on. Two moves of 45 steps in a row have a
/// correlation of 0.2 in the sample run, which is what this drift beside gradients of this size gives.
const DRIFT: f32 = 0.04;
/// How large gradients are beside updates; only the exponents' place depends on it.
const SIZE: f32 = 0.5;

/// The optimiser's state at two checkpoints in a row, given two checkpoints of the weights.
pub(crate) fn states(before: &Tensors, after: &Tensors, seed: u64) -> [Tensors; 2] {
    let mut states = [const { Vec::new() }; 2];
    for (n, tensor) in after.0.iter().enumerate() {
        let old = before.get(&tensor.name).and_then(Tensor::floats);
        let Some((old, new)) = old.zip(tensor.floats()) else { continue };
        let moved: Vec<f32> = new.iter().zip(&old).map(|(new, old)| new - old).collect();
        let sizes = sizes(&moved, tensor.rows().1);
        let [first, second] = averages(&moved, &sizes, Random::stream(seed, n as u64));
        for (state, (m, v)) in states.iter_mut().zip([first, second]) {
            let name = |kind: &str| format!("{}.{kind}", tensor.name);
            let shape = &tensor.shape;
            state.push(Tensor::of_floats(&name("exp_avg"), shape, Dtype::F32, &m));
            state.push(Tensor::of_floats(&name("exp_avg_sq"), shape, Dtype::F32, &v));
        }
    }
    states.map(Tensors)
}

/// The size of each element's gradients: that of its row times that of its column, over all.
fn sizes(moved: &[f32], width: usize) -> Vec<f32> {
    let height = (moved.len() / width).max(1);
    let mut columns = vec![0.0_f32; width];
    let mut rows = Vec::with_capacity(height);
    for row in moved.chunks(width) {
        row.iter().zip(&mut columns).for_each(|(d, sum)| *sum += d * d);
        rows.push((row.iter().map(|d| d * d).sum::<f32>() / width as f32).sqrt());
    }
    let column = |sum: &f32| (sum / height as f32).sqrt();
    let columns: Vec<f32> = columns.iter().map(column).collect();
    let all = (columns.iter().map(|c| c * c).sum::<f32>() / width as f32).sqrt().max(1e-12);
    let size = |row: f32, column: f32| SIZE * (row * column / all).max(1e-12);
    rows.iter().flat_map(|row| columns.iter().map(move |column| size(*row, *column))).collect()
}

/// `m` and `v` of every element at the two checkpoints.
fn averages(moved: &[f32], sizes: &[f32], mut random: Random) -> [(Vec<f32>, Vec<f32>); 2] {
    let mut states = [const { (Vec::new(), Vec::new()) }; 2];
    for (moved, size) in moved.iter().zip(sizes) {
        let (mut m, mut v) = (0.0, 0.0);
        for (state, steps) in states.iter_mut().zip(STEPS) {
            for _ in 0..steps {
                let gradient = size * random.normal() - DRIFT * moved;
                m = BETA_1 * m + (1.0 - BETA_1) * gradient;
                v = BETA_2 * v + (1.0 - BETA_2) * gradient * gradient;
            }
            state.0.push(m);
            state.1.push(v);
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correlation(a: &[f32], b: &[f32]) -> f32 {
        let mean = |x: &[f32]| x.iter().sum::<f32>() / x.len() as f32;
        let (ma, mb) = (mean(a), mean(b));
        let sum = |f: &dyn Fn(f32, f32) -> f32| -> f32 {
            a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum()
        };
        sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
    }

    #[test]
    fn v_remembers_and_m_forgets() {
        let mut random = Random::new(5);
        let old: Vec<f32> = (0..4096).map(|_| random.normal() * 0.02).collect();
        let new: Vec<f32> = old.iter().map(|w| w + random.normal() * 4e-4).collect();
        let at =
            |values: &[f32]| Tensors(vec![Tensor::of_floats("w", &[64, 64], Dtype::F32, values)]);
        let [first, second] = states(&at(&old), &at(&new), 6);
        assert_eq!(first, states(&at(&old), &at(&new), 6)[0]);
        let of = |state: &Tensors, name| state.get(name).and_then(Tensor::floats).unwrap();
        let (m, v) = ("w.exp_avg", "w.exp_avg_sq");
        assert!(correlation(&of(&first, m), &of(&second, m)).abs() < 0.3);
        assert!(correlation(&of(&first, v), &of(&second, v)) > 0.6);
        assert!(of(&first, v).iter().all(|v| *v > 0.0));
    }
}
