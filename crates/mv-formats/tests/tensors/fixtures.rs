//! Files that the libraries themselves wrote; see `fixtures/formats/README.md`.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;

use mv_formats::{FileSource, Location, Model, Source, read_model, read_tensor};

/// 0.0 to 11.0: what most of the fixtures hold.
fn ramp() -> Vec<u8> {
    (0..12_u8).flat_map(|n| f32::from(n).to_le_bytes()).collect()
}

fn open(name: &str) -> FileSource {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats");
    FileSource::new(File::open(folder.join(name)).expect("the fixture")).expect("its size")
}

fn model(name: &str) -> Model {
    let source = open(name);
    let model = read_model(name, &source).expect("reads").expect("a model");
    crate::build::check(&model, source.size());
    model
}

/// One line for each tensor: its name, type, shape, and how it is stored.
fn listed(name: &str) -> String {
    let mut lines = String::new();
    for tensor in model(name).tensors {
        let stored = match tensor.location {
            Location::Plain { .. } => "plain",
            Location::Scattered { .. } => "scattered",
            Location::Deflated { .. } => "deflated",
            Location::Elsewhere => "elsewhere",
        };
        writeln!(lines, "{} {}{:?} {stored}", tensor.name, tensor.dtype, tensor.shape)
            .expect("memory");
    }
    lines
}

fn bytes(file: &str, tensor: &str) -> Vec<u8> {
    let source = open(file);
    let model = model(file);
    let tensor = model.tensors.iter().find(|t| t.name == tensor).expect("the tensor");
    let mut bytes = Vec::new();
    read_tensor(&source, tensor, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })
    .expect("its bytes");
    bytes
}

fn metadata(file: &str, key: &str) -> Vec<String> {
    let pairs = model(file).metadata.into_iter();
    pairs.filter(|(k, _)| k == key).map(|(_, value)| value).collect()
}

#[test]
fn safetensors_files() {
    assert_eq!(
        listed("small.safetensors"),
        "n i64[] plain\nw f32[3, 4] plain\nhalf f16[2, 2] plain\n"
    );
    assert_eq!(bytes("small.safetensors", "w"), ramp());
    assert_eq!(bytes("small.safetensors", "n"), 7_i64.to_le_bytes());
    assert_eq!(metadata("small.safetensors", "format"), ["np"]);
}

#[test]
fn numpy_files() {
    assert_eq!(listed("rows.npy"), "array f32[3, 4] plain\n");
    assert_eq!(bytes("rows.npy", "array"), ramp());
    assert_eq!(listed("columns.npy"), "array f32[3, 4] scattered\n");
    assert_eq!(listed("big-endian.npy"), "array f32[3, 4] scattered\n");
    assert_eq!(listed("structured.npy"), "array [('a', '<f4'), ('b', '<i2', (3,))][2] plain\n");
    assert_eq!(listed("stored.npz"), "w f32[3, 4] plain\nb f64[4] plain\n");
    assert_eq!(listed("deflated.npz"), "w f32[3, 4] deflated\nb f64[400] deflated\n");
    for file in ["stored.npz", "deflated.npz"] {
        assert_eq!(bytes(file, "w"), ramp(), "{file}");
    }
    assert_eq!(bytes("deflated.npz", "b"), [0; 3200]);
}

#[test]
fn gguf_files() {
    assert_eq!(
        listed("small.gguf"),
        "plain.weight f32[3, 4] plain\nblocks.weight Q8_0[2, 32] plain\n"
    );
    assert_eq!(bytes("small.gguf", "plain.weight"), ramp());
    assert_eq!(bytes("small.gguf", "blocks.weight"), (0..68).collect::<Vec<u8>>());
    assert_eq!(metadata("small.gguf", "tokenizer.ggml.tokens"), ["string[3]"]);
    assert_eq!(metadata("small.gguf", "llama.context_length"), ["2048"]);
}

#[test]
fn onnx_files() {
    assert_eq!(listed("small.onnx"), "w f32[3, 4] plain\nb f32[4] plain\nsteps i64[2] elsewhere\n");
    assert_eq!(bytes("small.onnx", "w"), ramp());
    let floats: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0].into_iter().flat_map(f32::to_le_bytes).collect();
    assert_eq!(bytes("small.onnx", "b"), floats);
    let ports = model("small.onnx").ports.into_iter();
    let ports: Vec<_> = ports.map(|port| (port.input, port.name, port.shape)).collect();
    let port = |input, name: &str, shape: &str| (input, name.to_owned(), shape.to_owned());
    assert_eq!(ports, [port(true, "x", "f32[batch, 3]"), port(false, "z", "f32[batch, 4]")]);
    assert_eq!(metadata("small.onnx", "opset.ai.onnx"), ["17"]);
    assert_eq!(metadata("small.onnx", "producer_name"), ["mv"]);
}

#[test]
fn torch_files() {
    for file in ["state.pt", "state-old.pt"] {
        assert_eq!(
            listed(file),
            "w f32[3, 4] plain\ntransposed f32[4, 3] scattered\nrow f32[4] plain\n\
             tied f32[3, 4] plain\nhalf bf16[2, 2] plain\nstep i64[] plain\n",
            "{file}"
        );
        assert_eq!(bytes(file, "w"), ramp(), "{file}");
        assert_eq!(bytes(file, "tied"), ramp(), "{file}");
        assert_eq!(bytes(file, "row"), ramp()[16..32], "{file}");
        assert_eq!(bytes(file, "half"), [0x80, 0x3f].repeat(4), "{file}");
        assert_eq!(bytes(file, "step"), 5_i64.to_le_bytes(), "{file}");
    }
    assert_eq!(listed("module.pt"), "weight f32[1, 2] plain\nbias f32[1] plain\n");
    assert_eq!(metadata("module.pt", "root"), ["torch.nn.modules.linear.Linear"]);
    let weight: Vec<u8> = [1.0_f32, 2.0].into_iter().flat_map(f32::to_le_bytes).collect();
    assert_eq!(bytes("module.pt", "weight"), weight);
    assert_eq!(listed("new-types.pt"), "f8 f8_e4m3[4] plain\nu16 u16[3] plain\n");
    assert_eq!(bytes("new-types.pt", "f8"), [0x38; 4]);
    assert_eq!(bytes("new-types.pt", "u16"), [1, 0, 1, 0, 1, 0]);
    assert_eq!(
        listed("training.pt"),
        "model.weight f32[1, 2] plain\nmodel.bias f32[1] plain\n\
         optimizer.state.0.step f32[] plain\noptimizer.state.0.exp_avg f32[1, 2] plain\n\
         optimizer.state.0.exp_avg_sq f32[1, 2] plain\noptimizer.state.1.step f32[] plain\n\
         optimizer.state.1.exp_avg f32[1] plain\noptimizer.state.1.exp_avg_sq f32[1] plain\n"
    );
}

#[test]
fn pickles_of_scikit_learn() {
    for file in ["linear-4.pkl", "linear-5.pkl", "linear.joblib"] {
        assert_eq!(listed(file), "coef_ f64[2] plain\nsingular_ f64[2] plain\n", "{file}");
        let coefficients: Vec<f64> = bytes(file, "coef_")
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes")))
            .collect();
        assert!(
            (coefficients[0] - 2.0).abs() < 1e-9 && (coefficients[1] - 3.0).abs() < 1e-9,
            "{file}"
        );
    }
    // Python 3 writes bytes as text in the first protocols.
    for file in ["linear-0.pkl", "linear-2.pkl"] {
        assert_eq!(listed(file), "coef_ f64[2] elsewhere\nsingular_ f64[2] elsewhere\n", "{file}");
    }
    for file in ["linear-0.pkl", "linear-2.pkl", "linear-4.pkl", "linear-5.pkl", "linear.joblib"] {
        assert_eq!(
            metadata(file, "root"),
            ["sklearn.linear_model._base.LinearRegression"],
            "{file}"
        );
        assert!(metadata(file, "class").contains(&"numpy.dtype".to_owned()), "{file}");
    }
    assert_eq!(listed("objects.joblib"), "objects.0 i64[3] plain\nafter f64[4] plain\n");
    let ramp: Vec<u8> = [0.0_f64, 1.0, 2.0, 3.0].into_iter().flat_map(f64::to_le_bytes).collect();
    assert_eq!(bytes("objects.joblib", "after"), ramp);
}
