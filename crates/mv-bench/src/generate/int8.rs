//! Weights as int8: each row divided by its largest magnitude and rounded, with one fp32 scale a row.

use crate::tensors::{Dtype, Tensor, Tensors};

/// The quantised form of every matrix; vectors stay as they are, as quantisers leave norms.
pub(crate) fn quantised(tensors: &Tensors) -> Tensors {
    let mut all = Vec::new();
    for tensor in &tensors.0 {
        let (rows, width) = tensor.rows();
        match tensor.floats().filter(|_| rows > 1) {
            None => all.push(tensor.clone()),
            Some(values) => {
                let scales: Vec<f32> = values.chunks(width).map(scale).collect();
                let whole: Vec<f32> = values
                    .chunks(width)
                    .zip(&scales)
                    .flat_map(|(row, scale)| row.iter().map(move |v| v / scale))
                    .collect();
                let name = format!("{}_scale", tensor.name);
                all.push(Tensor::of_floats(&tensor.name, &tensor.shape, Dtype::I8, &whole));
                all.push(Tensor::of_floats(&name, &[rows, 1], Dtype::F32, &scales));
            }
        }
    }
    Tensors(all)
}

/// What one step of a row's integers stands for; a row of zeros keeps its zeros.
fn scale(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    if largest > 0.0 { largest / 127.0 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_a_row_becomes_127() {
        let values = [0.5, -1.0, 0.25, 0.0, 0.0, 0.0];
        let matrix = Tensor::of_floats("w", &[2, 3], Dtype::F32, &values);
        let vector = Tensor::of_floats("norm", &[3], Dtype::F32, &[1.0, 1.0, 1.0]);
        let done = quantised(&Tensors(vec![matrix, vector.clone()]));
        assert_eq!(done.0[0].bytes, [64, 0x81, 32, 0, 0, 0]);
        assert_eq!(done.0[1].name, "w_scale");
        assert_eq!(done.0[1].floats(), Some(vec![1.0 / 127.0, 1.0]));
        assert_eq!(done.0[2], vector);
    }
}
