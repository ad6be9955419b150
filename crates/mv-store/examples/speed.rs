//! How fast the steps of a commit are beside plain copying, on one core, in GB/s.
//!
//! `cargo run --release --example speed -p mv-store`

#![expect(clippy::print_stdout, reason = "the table is its output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use mv_store::cut::SIZES;

const LEN: usize = 64 << 20;
const PIECE: usize = 1 << 20;
const ROUNDS: usize = 9;

fn main() {
    let mut data = vec![0; LEN];
    blake3::Hasher::new().finalize_xof().fill(&mut data);
    let mut copy = vec![0; LEN];
    let mut times = [const { Vec::new() }; 4];
    // In turn, so that a slow moment of the machine hits all of them.
    for _ in 0..ROUNDS {
        times[0].push(time(|| copy.copy_from_slice(black_box(&data))));
        times[1].push(time(|| hash(&data, PIECE)));
        times[2].push(time(|| hash(&data, SIZES.average)));
        times[3].push(time(|| cut(&data)));
        black_box(&copy);
    }
    let names = ["memcpy", "blake3, 1 MiB", "blake3, 128 KiB", "cut"];
    for (name, times) in names.into_iter().zip(&mut times) {
        times.sort();
        let rate = |at: usize| gigabytes(LEN) / times[at].as_secs_f64();
        println!("{name:16} {:6.2} GB/s  (best {:.2})", rate(ROUNDS / 2), rate(0));
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn hash(data: &[u8], piece: usize) {
    for piece in data.chunks(piece) {
        black_box(blake3::hash(piece));
    }
}

fn cut(mut data: &[u8]) {
    while let Some(len @ 1..) = SIZES.first_cut(black_box(data), true) {
        data = &data[len..];
    }
}

#[expect(clippy::cast_precision_loss, reason = "a length far below 2^52")]
fn gigabytes(len: usize) -> f64 {
    len as f64 / 1e9
}
