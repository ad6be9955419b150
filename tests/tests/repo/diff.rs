//! `mv diff`, `mv cat REV:PATH#TENSOR`, `mv ls --tensors`: what is inside files that changed.

use mv_tests::{Output, Sandbox, damage};
use serde_json::{Value, json};

/// A tensor: name, type, shape, bytes.
type Tensor<'a> = (&'a str, &'a str, &'a [u64], Vec<u8>);

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A safetensors file.
fn safetensors(metadata: &[(&str, &str)], tensors: &[Tensor<'_>]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        header.insert("__metadata__".into(), Value::Object(metadata));
    }
    let mut data: Vec<u8> = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let start = data.len();
        data.extend(bytes);
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, data.len()] });
        header.insert((*name).to_owned(), entry);
    }
    let mut header = serde_json::to_vec(&header).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    file
}

const CODE: &str =
    "import torch\n\nlr = 1e-3\nepochs = 3\n\nfor epoch in range(epochs):\n    step()\n";

/// Two versions of a small project, a day apart, tagged `v1.0.0` and `v1.1.0`; nothing is left to commit.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("train.py", CODE);
    sandbox.write("eval.py", "def score(x):\n    return x\n\nprint(score(1))\n");
    sandbox.write("old/notes.md", "nothing of note\n");
    sandbox.write("data/train.csv", "id,zip\n1,10115\n2,20095\n3,80331\n");
    sandbox.write("models/clf.safetensors", first_model());
    sandbox.ok(&[
        "commit", "-m", "one", "--tag", "v1.0.0", "--metric", "acc=0.5", "--param", "lr=0.001",
    ]);
    sandbox.advance(86_400);
    change(&sandbox);
    sandbox.ok(&[
        "commit", "-m", "two", "--tag", "v1.1.0", "--metric", "acc=0.75", "--param", "lr=0.01",
    ]);
    sandbox
}

fn first_model() -> Vec<u8> {
    safetensors(
        &[("epoch", "3")],
        &[
            ("fc1.weight", "F32", &[2, 2], f32s(&[1.0, 2.0, 3.0, 4.0])),
            ("fc1.bias", "F32", &[2], f32s(&[0.5, 0.5])),
            ("fc2.weight", "F32", &[2], f32s(&[7.0, 8.0])),
            ("head", "F32", &[3], f32s(&[1.0, 1.0, 2.0])),
        ],
    )
}

fn change(sandbox: &Sandbox) {
    sandbox.write("train.py", CODE.replace("1e-3", "1e-2"));
    sandbox.remove("eval.py");
    sandbox.write("score.py", "def score(x):\n    return x\n\nprint(score(2))\n");
    sandbox.remove("old");
    sandbox.write("notes.md", "nothing of note\n");
    sandbox.write("data/train.csv", "id,age\n1,30\n2,40\n4,50\n5,60\n");
    let model = safetensors(
        &[("epoch", "4")],
        &[
            ("fc1.weight", "F32", &[2, 2], f32s(&[1.0, 2.0, 3.0, 4.5])),
            ("fc1.bias", "F32", &[2], f32s(&[0.5, 0.5])),
            ("fc2.weight", "F32", &[1, 2], f32s(&[7.0, 8.0])),
            ("classifier", "F32", &[3], f32s(&[1.0, 1.0, 2.0])),
            ("scale", "F16", &[1], vec![0, 60]),
        ],
    );
    sandbox.write("models/clf.safetensors", model);
}

#[track_caller]
fn assert_screen(output: &Output, expected: &str) {
    output.printable();
    assert_eq!(output.stdout, expected, "\n--- printed\n{}--- expected\n{expected}", output.stdout);
}

#[test]
fn one_screen_tells_what_changed_between_two_versions() {
    let sandbox = project();
    let expected = "\
v1.0.0 → v1.1.0, 1 day later
code: 3 files
  renamed    old/notes.md → notes.md  16 B
  renamed    eval.py → score.py (63 %)  +1 -1
@@ -1,4 +1,4 @@
 def score(x):
     return x
 \n-print(score(1))
+print(score(2))
  modified   train.py  +1 -1
@@ -1,6 +1,6 @@
 import torch
 \n-lr = 1e-3
+lr = 1e-2
 epochs = 3
 \n for epoch in range(epochs):
data: 1 file
  modified   data/train.csv  +2 -1 rows, columns +age (int), -zip
model: 1 file
  modified   models/clf.safetensors  1 of 5 tensors changed, 1 reshaped, 1 renamed, 1 added; 11 → 12 parameters
    tensor             change    type  shape         relative L2  elements    cosine
    fc1.weight         changed   f32   [2, 2]             0.0913   25.00 %  0.998295
    fc2.weight         reshaped  f32   [2] → [1, 2]
    head → classifier  renamed   f32   [3]
    scale              added     f16   [1]
    epoch: 3 → 4
params   from    to   delta
lr      0.001  0.01  +0.009
metrics  from    to  delta
acc       0.5  0.75  +0.25
suggested: major, tensor \"fc2.weight\" reshaped [2] -> [1, 2] in models/clf.safetensors and 2 more changes
";
    assert_screen(&sandbox.ok(&["diff", "v1.0.0", "v1.1.0", "--stats"]), expected);
}

#[test]
fn the_working_tree_is_looked_into_as_a_version_is() {
    let sandbox = project();
    sandbox.ok(&["checkout", "v1.0.0"]);
    change(&sandbox);
    let expected = "\
v1.0.0 → working tree
data: 1 file
  modified   data/train.csv  +2 -1 rows, columns +age (int), -zip
model: 1 file
  modified   models/clf.safetensors  1 of 5 tensors changed, 1 reshaped, 1 renamed, 1 added; 11 → 12 parameters
    tensor             change    type  shape
    fc1.weight         changed   f32   [2, 2]
    fc2.weight         reshaped  f32   [2] → [1, 2]
    head → classifier  renamed   f32   [3]
    scale              added     f16   [1]
    epoch: 3 → 4
";
    let output = sandbox.ok(&["diff", "--only", "data", "--only", "model"]);
    assert_screen(&output, expected);
    sandbox.remove("models");
    let output = sandbox.ok(&["diff", "--only", "model"]);
    assert_screen(
        &output,
        "v1.0.0 → working tree\nmodel: 1 file\n  deleted    models/clf.safetensors  4 tensors, 11 parameters: f32 44 B\n",
    );
}

#[test]
fn stat_prints_one_line_for_each_file() {
    let sandbox = project();
    let expected = "\
v1.0.0 → v1.1.0, 1 day later
code: 3 files
  renamed    old/notes.md → notes.md  16 B
  renamed    eval.py → score.py (63 %)  +1 -1
  modified   train.py  +1 -1
3 files changed, +2 -2 lines
";
    assert_screen(&sandbox.ok(&["diff", "v1.0.0", "v1.1.0", "--stat", "--only", "code"]), expected);
}

#[test]
fn markdown_is_made_of_tables_and_fenced_lines() {
    let sandbox = Sandbox::new();
    sandbox.write("a`|b.py", "x = 1\n");
    let name = "<img src=x>|`@ada`";
    sandbox.write("m.safetensors", safetensors(&[], &[(name, "U8", &[1], vec![1])]));
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.0.0", "--metric", "f|1=0.5"]);
    sandbox.write("a`|b.py", "x = 1\ny = \"```\"\n");
    sandbox.write("m.safetensors", safetensors(&[], &[(name, "U8", &[1], vec![2])]));
    sandbox.ok(&["commit", "-m", "two", "--tag", "v1.1.0", "--metric", "f|1=0.25"]);
    let expected = r#"### v1.0.0 → v1.1.0, 1 second later

#### code: 1 file

- modified ``a`|b.py`` +1 -0

````diff
@@ -1,1 +1,2 @@
 x = 1
+y = "```"
````


#### model: 1 file

- modified `m.safetensors` 1 of 1 tensor changed; 1 parameter

| tensor | change | type | shape |
| --- | --- | --- | --- |
| &lt;img src=x&gt;\|\`&#64;ada\` | changed | u8 | \[1\] |


#### metrics

| metrics | from | to | delta |
| --- | ---: | ---: | ---: |
| f\|1 | 0.5 | 0.25 | -0.25 |

suggested: minor, retrained, 1 of 1 tensor differs in m.safetensors
"#;
    assert_screen(&sandbox.ok(&["diff", "v1.0.0", "v1.1.0", "--md"]), expected);
}

fn file<'a>(document: &'a Value, path: &str) -> &'a Value {
    let files = document["files"].as_array().unwrap();
    files.iter().find(|f| f["path"] == path).unwrap_or_else(|| panic!("no `{path}` in {files:?}"))
}

#[test]
fn the_document_names_tensors_columns_and_renames() {
    let sandbox = project();
    let diff = sandbox.json(&["diff", "v1.0.0", "v1.1.0", "--stats"]);
    assert_eq!(diff["seconds_between"], 86_401);
    assert_eq!(diff["suggested_bump"]["kind"], "major");
    let reason = diff["suggested_bump"]["reason"].as_str().unwrap();
    assert!(reason.contains("fc2.weight"), "{reason}");
    let model = file(&diff, "models/clf.safetensors");
    assert_eq!(model["parameters"], json!({ "from": 11, "to": 12 }));
    assert_eq!(model["unchanged_tensors"], 1);
    let tensors = model["tensors"].as_array().unwrap();
    let kinds: Vec<_> = tensors.iter().map(|t| (t["name"].clone(), t["change"].clone())).collect();
    assert_eq!(
        json!(kinds),
        json!([
            ["fc1.weight", "changed"],
            ["fc2.weight", "reshaped"],
            ["classifier", "renamed"],
            ["scale", "added"]
        ])
    );
    assert_eq!(tensors[0]["changed_share"], 0.25);
    assert!((tensors[0]["relative_l2"].as_f64().unwrap() - 0.5 / 30f64.sqrt()).abs() < 1e-9);
    assert!(tensors[0]["cosine"].as_f64().unwrap() > 0.99);
    assert_eq!(tensors[1]["from"], json!({ "dtype": "f32", "shape": [2], "bytes": 8 }));
    assert_eq!(tensors[1]["to"]["shape"], json!([1, 2]));
    assert_eq!(tensors[3]["from"], Value::Null);
    let table = &file(&diff, "data/train.csv")["table"];
    assert_eq!((&table["rows_added"], &table["rows_removed"]), (&json!(2), &json!(1)));
    assert_eq!(table["columns_added"], json!([{ "name": "age", "kind": "int" }]));
    assert_eq!(table["columns_removed"][0]["name"], "zip");
    let renamed = file(&diff, "score.py");
    assert_eq!(
        (&renamed["change"], &renamed["from"]["path"]),
        (&json!("renamed"), &json!("eval.py"))
    );
    assert_eq!(renamed["lines"], json!({ "added": 1, "removed": 1 }));
    assert_eq!(file(&diff, "notes.md")["similarity"], 100);
    // Without numbers nothing says that there are none.
    let plain = sandbox.json(&["diff", "v1.0.0", "v1.1.0"]);
    assert!(file(&plain, "models/clf.safetensors")["tensors"][0].get("cosine").is_none());
}

#[test]
fn a_rename_needs_half_of_the_content_and_can_be_switched_off() {
    let sandbox = Sandbox::new();
    let lines: Vec<String> = (0..10).map(|i| format!("line number {i}\n")).collect();
    sandbox.write("near.py", lines.concat());
    sandbox.write("far.py", "1\n2\n3\n4\n5\n6\n7\n8\n");
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.0.0"]);
    sandbox.remove("near.py");
    sandbox.remove("far.py");
    sandbox.write("pkg/near2.py", lines[..6].concat());
    sandbox.write("pkg/far2.py", "1\n2\n3\nd\ne\nf\ng\nh\n");
    let working = sandbox.json(&["diff"]);
    assert_eq!(file(&working, "pkg/near2.py")["from"]["path"], "near.py");
    sandbox.commit("two");
    let changes = |args: &[&str]| -> Vec<(String, String)> {
        let diff = sandbox.json(&[&["diff", "v1.0.0", "HEAD"], args].concat());
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        let files = diff["files"].as_array().unwrap().iter();
        files.map(|f| (text(&f["path"]), text(&f["change"]))).collect()
    };
    let named = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let found = [("far.py", "deleted"), ("pkg/far2.py", "added"), ("pkg/near2.py", "renamed")];
    assert_eq!(changes(&[]), named(&found));
    // Either name finds it.
    assert_eq!(changes(&["--", "near.py"]), named(&found[2..]));
    assert_eq!(changes(&["--", "pkg/near2.py"]), named(&found[2..]));
    let split = [
        ("far.py", "deleted"),
        ("near.py", "deleted"),
        ("pkg/far2.py", "added"),
        ("pkg/near2.py", "added"),
    ];
    assert_eq!(changes(&["--no-renames"]), named(&split));
}

/// Bytes that no compressor shortens.
fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((seed >> 16).to_le_bytes()[..6].iter());
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn a_moved_large_file_is_a_rename_although_a_part_of_it_changed() {
    let sandbox = Sandbox::new();
    let mut bytes = noise(6 << 20, 1);
    sandbox.write("models/a.bin", &bytes);
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.0.0"]);
    sandbox.remove("models/a.bin");
    bytes[3 << 20..][..1000].copy_from_slice(&noise(1000, 2));
    sandbox.write("models/b.bin", &bytes);
    sandbox.commit("two");
    let diff = sandbox.json(&["diff", "v1.0.0", "HEAD"]);
    let renamed = file(&diff, "models/b.bin");
    assert_eq!(renamed["change"], "renamed");
    assert!(renamed["similarity"].as_u64().unwrap() >= 80, "{renamed}");
}

const PART: u64 = 3 << 20;

/// Ten tensors of 3 MiB, of which one is `changed` ones.
fn large_model(changed: Option<usize>) -> Vec<u8> {
    let names: Vec<String> = (0..10).map(|i| format!("layer{i}")).collect();
    let shape = [PART];
    let tensors: Vec<Tensor<'_>> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let seed = if changed == Some(i) { 1000 } else { i as u64 + 1 };
            (name.as_str(), "U8", &shape[..], noise(PART as usize, seed))
        })
        .collect();
    safetensors(&[], &tensors)
}

#[test]
fn which_tensor_changed_is_told_without_reading_the_others() {
    let sandbox = Sandbox::new();
    sandbox.write("models/large.safetensors", large_model(None));
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.0.0"]);
    let pack = damage::packs(&sandbox.dot()).pop().unwrap();
    sandbox.write("models/large.safetensors", large_model(Some(2)));
    sandbox.ok(&["commit", "-m", "two", "--tag", "v1.1.0"]);
    // What the other tensors lie in is damaged: whoever reads it fails.
    let len = std::fs::metadata(&pack).unwrap().len() as usize;
    for part in [5, 6, 7, 8, 9] {
        damage::flip(&pack, len / 10 * part, 3);
    }
    sandbox.mv(&["cat", "v1.0.0:models/large.safetensors"]).expect(3);
    let output = sandbox.ok(&["diff", "v1.0.0", "v1.1.0", "--stats"]);
    assert!(
        output.stdout.contains("1 of 10 tensors changed; 31 M parameters"),
        "{}",
        output.stdout
    );
    let diff = sandbox.json(&["diff", "v1.0.0", "v1.1.0"]);
    let tensors = &diff["files"][0]["tensors"];
    assert_eq!((tensors.as_array().unwrap().len(), &tensors[0]["name"]), (1, &json!("layer2")));
}

#[test]
fn a_model_file_that_changed_beside_its_tensors_is_not_called_unchanged() {
    let sandbox = Sandbox::new();
    let tensor: Tensor<'_> = ("a", "F32", &[1], vec![0; 4]);
    sandbox.write("models/count.pkl", b"\x80\x04K\x01.");
    sandbox.write(
        "models/m.safetensors",
        safetensors(&[("epoch", "1")], std::slice::from_ref(&tensor)),
    );
    sandbox.commit("one");
    sandbox.write("models/count.pkl", b"\x80\x04K\x02.");
    sandbox.write("models/m.safetensors", safetensors(&[("epoch", "2")], &[tensor]));
    let told = sandbox.ok(&["diff"]).stdout;
    assert!(told.contains("models/count.pkl  5 B → 5 B, Python pickle"), "{told}");
    assert!(told.contains("1 tensor unchanged, other bytes differ; 1 parameter"), "{told}");
    assert!(told.contains("epoch: 1 → 2"), "{told}");
}

#[test]
fn a_damaged_file_does_not_hide_the_others_and_is_no_success() {
    let sandbox = Sandbox::new();
    sandbox.write("data/big.csv", format!("a\n{}", "1\n".repeat(100)));
    sandbox.write("models/large.safetensors", large_model(None));
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.0.0"]);
    let pack = damage::packs(&sandbox.dot()).pop().unwrap();
    sandbox.write("models/large.safetensors", large_model(Some(2)));
    sandbox.write("train.py", "1\n");
    sandbox.ok(&["commit", "-m", "two"]);
    let len = std::fs::metadata(&pack).unwrap().len() as usize;
    damage::flip(&pack, len / 100 * 25, 3);
    let output = sandbox.mv(&["diff", "v1.0.0", "HEAD", "--stats"]).expect(3);
    assert!(output.stdout.contains("  added      train.py  +1 -0"), "{}", output.stdout);
    assert!(output.stdout.contains("models/large.safetensors"), "{}", output.stdout);
    assert!(output.stdout.contains("cannot be read"), "{}", output.stdout);
    let output = sandbox.mv(&["--json", "diff", "v1.0.0", "HEAD", "--stats"]).expect(3);
    let document = output.json();
    let why = &file(&document, "models/large.safetensors")["content"]["why"];
    assert!(why.as_str().unwrap().starts_with("cannot be read"), "{why}");
}

#[test]
fn files_that_lie_about_what_they_are_are_shown_as_bytes() {
    let sandbox = Sandbox::new();
    let model = safetensors(&[], &[("w", "U8", &[4], vec![1; 4])]);
    let mut longer = model.clone();
    longer[..8].copy_from_slice(&(1u64 << 60).to_le_bytes());
    let mut outside = model.clone();
    let at = outside.windows(3).position(|w| w == b"0,4").unwrap();
    outside[at + 2] = b'9';
    let liars: [(&str, Vec<u8>); 5] = [
        ("models/a.safetensors", longer),
        ("models/b.safetensors", outside),
        ("models/c.safetensors", model[..6].to_vec()),
        ("models/d.safetensors", noise(5000, 7)),
        ("data/e.csv", [b"a,b\n1,\"".to_vec(), vec![0, 159, 146, 150]].concat()),
    ];
    for (path, _) in &liars {
        sandbox.write(path, &model);
    }
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.0.0"]);
    for (path, bytes) in &liars {
        sandbox.write(path, bytes);
    }
    let working = sandbox.ok(&["diff"]);
    working.printable();
    sandbox.commit("two");
    for args in [
        &["diff", "v1.0.0", "HEAD"][..],
        &["diff", "HEAD", "v1.0.0", "--stats"],
        &["diff", "v1.0.0", "HEAD", "--md"],
    ] {
        let output = sandbox.ok(args);
        output.printable();
        for (path, _) in &liars {
            assert!(output.stdout.contains(path), "{path}: {}", output.stdout);
        }
        assert!(output.stdout.contains("safetensors file"), "{}", output.stdout);
    }
}

#[test]
fn names_out_of_files_reach_the_terminal_escaped() {
    const EVIL: &str = "x\u{1b}]0;title\u{7}\u{202e}\u{9b}2J\r";
    let sandbox = Sandbox::new();
    let path = format!("models/{EVIL}.safetensors");
    let data = format!("data/{EVIL}.csv");
    let name = EVIL.to_owned();
    sandbox.write(&path, safetensors(&[(EVIL, "1")], &[(&name, "U8", &[1], vec![1])]));
    sandbox.write(&data, format!("{}\n1\n", EVIL.replace('\r', "")));
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.0.0"]);
    sandbox.write(&path, safetensors(&[(EVIL, EVIL)], &[(&name, "U8", &[1], vec![2])]));
    sandbox.write(&data, format!("other,{}b\n1,2\n", EVIL.replace('\r', "")));
    sandbox.commit("two");
    for args in [
        &["diff", "v1.0.0", "HEAD"][..],
        &["diff", "v1.0.0", "HEAD", "--stats"],
        &["diff", "v1.0.0", "HEAD", "--md"],
        &["diff", "v1.0.0", "HEAD", "--stat"],
        &["--json", "diff", "v1.0.0", "HEAD"],
        &["ls", "--tensors", &format!("HEAD:{path}")],
    ] {
        let output = sandbox.ok(args);
        output.printable();
        assert!(output.stdout.contains("title"), "{args:?}: {}", output.stdout);
    }
    sandbox.mv(&["cat", &format!("HEAD:{path}#{EVIL}z")]).clean_fail(2);
}

#[test]
fn exit_codes_and_names_are_for_scripts() {
    let sandbox = project();
    assert_eq!(sandbox.mv(&["diff", "--exit-code"]).expect(0).stdout, "");
    sandbox.mv(&["diff", "v1.0.0", "v1.1.0", "--exit-code", "--md"]).expect(1);
    sandbox.mv(&["diff", "v1.0.0", "v1.1.0", "--exit-code", "--only", "env"]).expect(0);
    sandbox.mv(&["--json", "diff", "v1.0.0", "v1.1.0", "--exit-code"]).expect(1);
    sandbox.mv(&["diff", "v1.0.0", "nowhere"]).clean_fail(2);
    sandbox.mv(&["diff", "--stat", "--name-only"]).expect(2);
    let names = sandbox.ok(&["diff", "v1.0.0", "v1.1.0", "--name-only", "--only", "code"]).stdout;
    assert_eq!(names, "notes.md\nscore.py\ntrain.py\n");
    let names =
        sandbox.ok(&["diff", "v1.0.0", "v1.1.0", "--name-only", "--", "data", "models"]).stdout;
    assert_eq!(names, "data/train.csv\nmodels/clf.safetensors\n");
    let none = sandbox.ok(&["diff", "v1.0.0", "v1.1.0", "-U", "0", "--", "train.py"]).stdout;
    assert!(none.ends_with("@@ -3,1 +3,1 @@\n-lr = 1e-3\n+lr = 1e-2\n"), "{none}");
}

#[test]
fn long_lists_of_tensors_end_unless_all_are_asked_for() {
    let sandbox = Sandbox::new();
    let model = |value: u8| {
        let names: Vec<String> = (0..50).map(|i| format!("t{i}")).collect();
        let tensors: Vec<Tensor<'_>> =
            names.iter().map(|n| (n.as_str(), "U8", &[1][..], vec![value])).collect();
        safetensors(&[], &tensors)
    };
    sandbox.write("m.safetensors", model(1));
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.0.0"]);
    sandbox.write("m.safetensors", model(2));
    sandbox.commit("two");
    let short = sandbox.ok(&["diff", "v1.0.0", "HEAD"]).stdout;
    assert!(short.contains("    … and 30 more tensors (-v shows all)\n"), "{short}");
    assert!(!short.contains("t49"), "{short}");
    let all = sandbox.ok(&["diff", "-v", "v1.0.0", "HEAD"]).stdout;
    assert!(all.contains("t49") && !all.contains('…'), "{all}");
}

#[test]
fn one_tensor_is_printed_as_bytes_or_as_a_numpy_file() {
    let sandbox = project();
    let spec = "v1.0.0:models/clf.safetensors#fc2.weight";
    assert_eq!(sandbox.ok(&["cat", spec]).stdout_bytes, f32s(&[7.0, 8.0]));
    let npy = sandbox.ok(&["cat", spec, "--npy"]).stdout_bytes;
    let (header, data) = npy.split_at(npy.len() - 8);
    assert!(header.starts_with(b"\x93NUMPY\x01\x00") && header.len() % 64 == 0);
    let literal = String::from_utf8_lossy(&header[10..]).into_owned();
    assert!(literal.contains("'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"));
    assert_eq!(data, f32s(&[7.0, 8.0]));
    let document = sandbox.json(&["cat", spec]);
    let expected = json!({ "name": "fc2.weight", "dtype": "f32", "shape": [2], "bytes": 8 });
    assert_eq!(document, expected);
    let listed = sandbox.json(&["ls", "--tensors", "v1.0.0:models/clf.safetensors"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[2]), (4, &expected));
    let listed = sandbox.ok(&["ls", "--tensors", "v1.0.0:models/clf.safetensors"]).stdout;
    assert!(listed.contains("fc2.weight  f32   [2]       8 B\n"), "{listed}");
    let unknown = sandbox.mv(&["cat", "v1.0.0:models/clf.safetensors#fc2.wieght"]).clean_fail(2);
    let hint = "did you mean `mver cat 'v1.0.0:models/clf.safetensors#fc2.weight'`?";
    assert!(unknown.stderr.contains(hint), "{}", unknown.stderr);
    sandbox.mv(&["cat", "v1.0.0:train.py#x"]).clean_fail(2);
    sandbox.mv(&["cat", "v1.0.0:nowhere#x"]).clean_fail(2);
    sandbox.mv(&["cat", "v1.0.0:train.py", "--npy"]).clean_fail(2);
    sandbox.mv(&["ls", "--tensors", "v1.0.0:train.py"]).clean_fail(2);
}

#[test]
fn a_file_with_a_hash_in_its_name_comes_before_a_tensor() {
    let sandbox = Sandbox::new();
    sandbox.write("m#w", "a file");
    sandbox.write("a#b.safetensors", safetensors(&[], &[("w#1", "U8", &[1], vec![9])]));
    sandbox.commit("one");
    assert_eq!(sandbox.ok(&["cat", "HEAD:m#w"]).stdout, "a file");
    assert_eq!(sandbox.ok(&["cat", "HEAD:a#b.safetensors#w#1"]).stdout_bytes, [9]);
}

#[test]
fn brain_floats_become_singles_in_a_numpy_file() {
    let sandbox = Sandbox::new();
    let bytes = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()[2..].to_vec()).collect();
    sandbox.write("m.safetensors", safetensors(&[], &[("w", "BF16", &[2], bytes)]));
    sandbox.commit("one");
    let npy = sandbox.ok(&["cat", "HEAD:m.safetensors#w", "--npy"]).stdout_bytes;
    assert_eq!(npy[npy.len() - 8..], f32s(&[1.5, -2.0]));
}
