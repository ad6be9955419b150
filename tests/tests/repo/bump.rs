//! The next version number: the rules that read it from the bytes, and which number is free.

use mv_repo::bump::{Advice, suggest_for_files};
use mv_repo::diff::{DiffOptions, diff};
use mv_tests::Sandbox;
use serde_json::Value;

use super::lab::Lab;

/// A tensor: name, type, shape, and the byte that all its elements are made of.
type Tensor<'a> = (&'a str, &'a str, &'a [u64], u8);

const HEAD: Tensor<'_> = ("head.weight", "F32", &[10, 64], 1);
const BODY: Tensor<'_> = ("body.weight", "F32", &[64, 8], 1);

/// A safetensors file with a note in its header.
fn safetensors(tensors: &[Tensor<'_>], note: &str) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!({ "note": note }));
    let mut data = Vec::new();
    for (name, dtype, shape, fill) in tensors {
        let size = if *dtype == "F32" { 4 } else { 2 };
        let start = data.len();
        data.resize(start + shape.iter().product::<u64>() as usize * size, *fill);
        let value = serde_json::json!({
            "dtype": dtype, "shape": shape, "data_offsets": [start, data.len()],
        });
        header.insert((*name).into(), value);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// A field of a protobuf message that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
}

/// An ONNX file with one input of so many floats, and no weights.
fn onnx(input: &str, width: u8) -> Vec<u8> {
    let dim = field(1, &[1 << 3, width]);
    let tensor = [&[1 << 3, 1][..], &field(2, &dim)].concat();
    let port = [field(1, input.as_bytes()), field(2, &field(1, &tensor))].concat();
    let graph = [field(2, b"g"), field(11, &port)].concat();
    [&[1 << 3, 8][..], &field(7, &graph)].concat()
}

type Files<'a> = Vec<(&'a str, Vec<u8>)>;

fn write(sandbox: &Sandbox, files: &Files<'_>) {
    files.iter().for_each(|(path, bytes)| sandbox.write(path, bytes));
}

/// The bump of a second version with other files, as `--bump auto` sees it.
#[track_caller]
fn auto(before: Files<'_>, after: Files<'_>) -> (String, String) {
    let sandbox = Sandbox::new();
    write(&sandbox, &before);
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.2.0"]);
    let paths = before.iter().map(|(path, _)| *path);
    paths.filter(|path| !after.iter().any(|(p, _)| p == path)).for_each(|p| sandbox.remove(p));
    write(&sandbox, &after);
    bump_of(&sandbox.json(&["commit", "-m", "two", "--bump", "auto"]))
}

fn bump_of(document: &Value) -> (String, String) {
    let text = |key: &str| document["bump"][key].as_str().unwrap().to_owned();
    let (kind, reason) = (text("kind"), text("reason"));
    let version = document["version"].as_str().unwrap();
    let next = [("major", "v2.0.0"), ("minor", "v1.3.0"), ("patch", "v1.2.1")];
    assert!(next.contains(&(kind.as_str(), version)), "{kind} {version}");
    (kind, reason.strip_suffix(" since v1.2.0").unwrap().to_owned())
}

fn model(tensors: &[Tensor<'_>]) -> Files<'static> {
    vec![("models/m.safetensors", safetensors(tensors, "one"))]
}

fn data(name: &'static str, text: &str) -> Files<'static> {
    vec![(name, text.as_bytes().to_vec())]
}

#[test]
fn a_changed_interface_of_the_model_is_major() {
    let other = |name, dtype, shape| [(name, dtype, shape, 1), BODY];
    let before = || model(&[HEAD, BODY]);
    for (after, reason) in [
        (model(&[BODY]), r#"tensor "head.weight" removed from models/m.safetensors"#),
        (
            model(&other("head.bias", "F32", &[10, 64])),
            r#"tensor "head.weight" renamed "head.bias" in models/m.safetensors"#,
        ),
        (
            model(&other("head.weight", "F32", &[12, 64])),
            r#"tensor "head.weight" reshaped [10, 64] -> [12, 64] in models/m.safetensors"#,
        ),
        (
            model(&other("head.weight", "F16", &[10, 64])),
            r#"tensor "head.weight" retyped f32 -> f16 in models/m.safetensors"#,
        ),
        (vec![("train.py", b"1".to_vec())], "model file models/m.safetensors is gone"),
    ] {
        assert_eq!(auto(before(), after), ("major".into(), reason.into()));
    }
}

#[test]
fn other_inputs_of_an_onnx_model_are_major() {
    let file = |bytes| vec![("models/m.onnx", bytes)];
    for (after, reason) in [
        (onnx("x", 5), r#"input "x" changed"#),
        (onnx("y", 4), r#"input "x" removed from models/m.onnx and 1 more change"#),
    ] {
        let (kind, told) = auto(file(onnx("x", 4)), file(after));
        assert_eq!(kind, "major");
        assert!(told.starts_with(reason), "{told}");
    }
}

#[test]
fn another_architecture_in_a_configuration_is_major_and_other_keys_are_not() {
    let config = |text: &str| data("models/clf/config.json", text);
    let before =
        r#"{"architectures":["A"],"model_type":"bert","dropout":0.1,"text":{"model_type":"t5"}}"#;
    for (after, kind) in [
        (r#"{"architectures":["B"],"model_type":"bert","text":{"model_type":"t5"}}"#, "major"),
        (r#"{"architectures":["A"],"model_type":"vit","text":{"model_type":"t5"}}"#, "major"),
        (r#"{"architectures":["A"],"model_type":"bert","text":{"model_type":"t6"}}"#, "major"),
        (r#"{"model_type":"bert","architectures":["A"],"text":{"model_type":"t5"}}"#, "patch"),
    ] {
        assert_eq!(auto(config(before), config(after)).0, kind, "{after}");
    }
}

#[test]
fn columns_that_a_reader_would_miss_are_major_and_new_ones_minor() {
    for (name, before, after, kind, reason) in [
        (
            "data/t.csv",
            "age,x\n1,2\n",
            "x\n2\n",
            "major",
            r#"column "age" removed from data/t.csv"#,
        ),
        (
            "data/t.tsv",
            "age\tx\n1\t2\n",
            "x\n2\n",
            "major",
            r#"column "age" removed from data/t.tsv"#,
        ),
        (
            "data/t.jsonl",
            "{\"age\":1,\"x\":2}\n",
            "{\"x\":2}\n",
            "major",
            r#"column "age" removed from data/t.jsonl"#,
        ),
        (
            "data/t.csv",
            "age,x\n1,2\n3,4\n",
            "age,x\nold,2\nyoung,4\n",
            "major",
            r#"column "age" retyped int -> text in data/t.csv"#,
        ),
        ("data/t.csv", "x\n2\n", "age,x\n1,2\n", "minor", r#"column "age" added to data/t.csv"#),
        ("data/t.csv", "age,x\n1,2\n", "age,x\n1,2\n3,4\n", "patch", "only data differs"),
        ("data/t.csv", "age,x\n1,2\n", "age,x\n1.5,2\n", "patch", "only data differs"),
    ] {
        let found = auto(data(name, before), data(name, after));
        assert_eq!(found, (kind.into(), reason.into()), "{name}: {before:?} {after:?}");
    }
}

#[test]
fn another_version_of_the_feature_set_is_major_as_param_and_as_metadata() {
    for flag in ["--param", "--meta"] {
        let sandbox = Sandbox::new();
        sandbox.ok(&["commit", "-m", "one", "--tag", "v1.2.0", flag, "feature_set_version=3"]);
        sandbox.ok(&["commit", "-m", "two", "--allow-empty", flag, "feature_set_version=4"]);
        let tagged = sandbox.json(&["tag", "--bump", "auto"]);
        assert_eq!(tagged[0]["bump"]["kind"], "major");
        let reason = tagged[0]["bump"]["reason"].as_str().unwrap();
        assert_eq!(reason, r#""feature_set_version" changed 3 -> 4 since v1.2.0"#);
        // Not given is not changed.
        sandbox.ok(&["commit", "-m", "three", "--allow-empty"]);
        assert_eq!(sandbox.json(&["tag", "--bump", "auto"])[0]["bump"]["kind"], "patch");
    }
}

#[test]
fn other_weights_in_the_same_tensors_and_additions_are_minor() {
    let trained = ("body.weight", "F32", &[64, 8][..], 2);
    let before = || model(&[HEAD, BODY]);
    for (after, reason) in [
        (model(&[HEAD, trained]), "retrained, 1 of 2 tensors differs in models/m.safetensors"),
        (
            model(&[HEAD, BODY, ("lora.a", "F32", &[4], 1)]),
            r#"tensor "lora.a" added to models/m.safetensors"#,
        ),
        (
            [before(), vec![("models/n.safetensors", safetensors(&[BODY], ""))]].concat(),
            "model file models/n.safetensors added",
        ),
        (
            vec![("models/new.safetensors", safetensors(&[HEAD, trained], ""))],
            "retrained, 1 of 2 tensors differs in models/new.safetensors",
        ),
    ] {
        assert_eq!(auto(before(), after), ("minor".into(), reason.into()));
    }
}

#[test]
fn the_same_weights_are_a_patch_whatever_else_differs() {
    let before = || [model(&[HEAD, BODY]), data("train.py", "1")].concat();
    let with =
        |path, text: &str| [model(&[HEAD, BODY]), data("train.py", "1"), data(path, text)].concat();
    let note = vec![("models/m.safetensors", safetensors(&[HEAD, BODY], "another note"))];
    let renamed = vec![("models/n.safetensors", safetensors(&[HEAD, BODY], "one"))];
    for (after, reason) in [
        (with("train.py", "2"), "only code differs"),
        (with("requirements.txt", "torch==2.9"), "only lock files differ"),
        (with("data/a.csv", "a\n1\n"), "only data differs"),
        (with("models/README.md", "words"), "only model differs"),
        ([note, data("train.py", "1")].concat(), "only model differs"),
        ([renamed, data("train.py", "2")].concat(), "only code and model differ"),
    ] {
        assert_eq!(auto(before(), after), ("patch".into(), reason.into()));
    }
}

#[test]
fn the_strongest_rule_wins_and_the_others_of_its_kind_are_counted() {
    let before = [model(&[HEAD, BODY]), data("data/t.csv", "a,b\n1,2\n")].concat();
    let grown = ("body.weight", "F32", &[64, 9][..], 2);
    let after = [model(&[HEAD, grown]), data("data/t.csv", "c\n2\n")].concat();
    let reason = r#"tensor "body.weight" reshaped [64, 8] -> [64, 9] in models/m.safetensors and 2 more changes"#;
    assert_eq!(auto(before, after), ("major".into(), reason.into()));
}

#[test]
fn names_out_of_hostile_files_are_cut_and_escaped_in_reasons() {
    let long = "x".repeat(5000);
    for (name, shown) in [("a\u{1b}[31m\nb", "\\x1b"), (&long, "…")] {
        let (_, reason) = auto(model(&[HEAD, (name, "F32", &[1], 1)]), model(&[HEAD]));
        assert!(reason.contains(shown) && reason.len() < 400, "{reason}");
        assert!(!reason.contains(char::is_control), "{reason}");
    }
}

#[test]
fn a_changed_model_file_without_tensors_is_for_the_user_to_decide() {
    for (name, before, after) in [
        ("models/m.pkl", &b"\x80\x04K\x01."[..], &b"\x80\x04K\x02."[..]),
        ("models/m.h5", b"\x89HDF\r\n\x1a\n1", b"\x89HDF\r\n\x1a\n2"),
        ("models/m.safetensors", b"version https://git-lfs 1", b"version https://git-lfs 2"),
        ("models/xgb.json", br#"{"learner":{"a":1}}"#, br#"{"learner":{"a":2}}"#),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write(name, before);
        sandbox.ok(&["commit", "-m", "one", "--tag", "v1.2.0"]);
        sandbox.write(name, after);
        sandbox.write("data/new.csv", b"a\n1\n");
        let packs = || std::fs::read_dir(sandbox.dot().join("packs")).unwrap().count();
        let there = packs();
        let refused = sandbox.mv(&["commit", "-m", "two", "--bump", "auto"]).clean_fail(2);
        assert!(refused.stderr.contains(name), "{}", refused.stderr);
        assert!(refused.stderr.contains("hint: ") && refused.stderr.contains("--bump minor"));
        assert_eq!(packs(), there, "nothing was stored for a version that was refused");
        // Committed without a number, the tag is refused in the same way.
        sandbox.ok(&["commit", "-m", "two"]);
        let refused = sandbox.mv(&["--json", "tag", "--bump", "auto"]).expect(2);
        assert_eq!(refused.json()["error"]["code"], "undecided");
        sandbox.ok(&["tag", "--bump", "minor"]);
        assert_eq!(sandbox.json(&["tag"])[1]["name"], "v1.3.0");
        // Unchanged, or only touched, it stands in nobody's way.
        sandbox.write("train.py", b"1");
        sandbox.write(name, after);
        let done = sandbox.json(&["commit", "-m", "three", "--bump", "auto"]);
        assert_eq!(done["version"], "v1.3.1");
    }
}

#[test]
fn the_first_version_is_v0_1_0_whatever_kind_is_asked_for() {
    for kind in ["major", "minor", "patch", "auto"] {
        let sandbox = Sandbox::new();
        sandbox.write("models/m.pkl", b"\x80\x04K\x01.");
        let done = sandbox.ok(&["commit", "-m", "one", "--bump", kind]);
        assert!(done.stdout.contains("v0.1.0") && done.stdout.contains("first version"));
        assert_eq!(sandbox.json(&["tag"])[0]["version"], "v0.1.0");
    }
}

#[test]
fn the_reason_is_printed_and_kept_as_the_tag_s_message() {
    let sandbox = Sandbox::new();
    write(&sandbox, &model(&[HEAD, BODY]));
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.2.0"]);
    write(&sandbox, &model(&[HEAD, ("body.weight", "F32", &[64, 8], 3)]));
    let told = sandbox.ok(&["commit", "-m", "two", "--bump", "auto"]).stdout;
    let reason = "minor: retrained, 1 of 2 tensors differs in models/m.safetensors since v1.2.0";
    assert!(told.contains(&format!("v1.3.0 ({reason})")), "{told}");
    assert_eq!(sandbox.json(&["tag"])[1]["message"], reason);
    sandbox.write("train.py", b"1");
    sandbox.ok(&["commit", "-m", "three"]);
    sandbox.ok(&["tag", "--bump", "auto", "-m", "hot fix"]);
    let message = "hot fix\n\npatch: only code differs since v1.3.0";
    assert_eq!(sandbox.json(&["tag"])[2]["message"], message);
    // Version and number came in one step and go in one step.
    sandbox.ok(&["undo"]);
    sandbox.ok(&["undo"]);
    sandbox.ok(&["undo"]);
    assert_eq!(sandbox.json(&["tag"]).as_array().unwrap().len(), 1);
    assert_eq!(sandbox.json(&["log"]).as_array().unwrap().len(), 1);
}

#[test]
fn auto_compares_with_the_last_number_and_not_with_the_parent() {
    let sandbox = Sandbox::new();
    write(&sandbox, &model(&[HEAD, BODY]));
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.2.0"]);
    write(&sandbox, &model(&[HEAD]));
    sandbox.ok(&["commit", "-m", "two"]);
    sandbox.write("train.py", b"1");
    let done = sandbox.json(&["commit", "-m", "three", "--bump", "auto"]);
    assert_eq!((&done["version"], &done["bump"]["kind"]), (&"v2.0.0".into(), &"major".into()));
}

#[test]
fn a_number_that_was_ever_used_is_passed_over_and_the_reason_says_so() {
    let sandbox = Sandbox::new();
    sandbox.write("f", b"1");
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.2.0"]);
    sandbox.ok(&["checkout", "-b", "other"]);
    sandbox.write("f", b"2");
    sandbox.ok(&["commit", "-m", "two", "--tag", "v1.3.0"]);
    sandbox.write("f", b"3");
    sandbox.ok(&["commit", "-m", "three", "--tag", "1.4.0"]);
    sandbox.ok(&["tag", "-d", "1.4.0"]);
    for name in ["1.4.0", "v1.4.0"] {
        sandbox.mv(&["tag", name]).clean_fail(1);
    }
    sandbox.ok(&["checkout", "main"]);
    sandbox.write("f", b"4");
    let done = sandbox.json(&["commit", "-m", "four", "--bump", "minor"]);
    assert_eq!(done["version"], "v1.5.0");
    let reason = done["bump"]["reason"].as_str().unwrap();
    assert_eq!(reason, "asked for, after v1.2.0; v1.3.0 to v1.4.0 are taken");
    // A patch of this branch is still free.
    sandbox.ok(&["checkout", "-b", "fix", "v1.2.0"]);
    sandbox.write("f", b"5");
    assert_eq!(sandbox.json(&["commit", "-m", "five", "--bump", "patch"])["version"], "v1.2.1");
}

#[test]
fn one_version_has_one_number() {
    let sandbox = Sandbox::new();
    sandbox.write("f", b"1");
    sandbox.ok(&["commit", "-m", "one", "--tag", "v1.2.0"]);
    let refused = sandbox.mv(&["tag", "--bump", "minor"]).clean_fail(1);
    assert!(refused.stderr.contains("`v1.2.0`"), "{}", refused.stderr);
    sandbox.mv(&["commit", "-m", "x", "--bump", "minor"]).clean_fail(1);
    sandbox.write("f", b"2");
    sandbox.mv(&["commit", "-m", "x", "--bump", "minor", "--tag", "v3.0.0"]).expect(2);
    sandbox.mv(&["commit", "-m", "x", "--bump", "huge"]).expect(2);
    sandbox.mv(&["tag", "--bump", "minor", "nowhere"]).clean_fail(2);
    sandbox.mv(&["tag", "-m", "words for nobody"]).clean_fail(2);
    sandbox.ok(&["commit", "-m", "two"]);
    sandbox.ok(&["commit", "-m", "three", "--allow-empty"]);
    let tagged = sandbox.json(&["tag", "--bump", "minor", "HEAD~1"]);
    assert_eq!((&tagged[0]["name"], &tagged[0]["version"]), (&"v1.3.0".into(), &"v1.3.0".into()));
    // An amended version is another one: it counts from below itself.
    let amended = sandbox.json(&["commit", "--amend", "--bump", "patch"]);
    assert_eq!(amended["version"], "v1.3.1");
}

#[test]
fn a_pre_release_is_lower_than_its_release_in_lists_ranges_and_bumps() {
    let sandbox = Sandbox::new();
    for (n, tag) in ["v2.0.0-rc.2", "v1.9.0", "v2.0.0-rc.10"].into_iter().enumerate() {
        sandbox.write("f", [n as u8]);
        sandbox.ok(&["commit", "-m", tag, "--tag", tag]);
    }
    let names = |sandbox: &Sandbox| {
        let tags = sandbox.json(&["tag"]);
        let names = tags.as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&sandbox), "v1.9.0 v2.0.0-rc.2 v2.0.0-rc.10");
    let meant = |rev| sandbox.json(&["show", rev])["message"].as_str().unwrap().to_owned();
    assert_eq!((meant("latest"), meant("^1")), ("v1.9.0".into(), "v1.9.0".into()));
    sandbox.write("f", b"release");
    assert_eq!(sandbox.json(&["commit", "-m", "x", "--bump", "major"])["version"], "v2.0.0");
    assert_eq!(names(&sandbox), "v1.9.0 v2.0.0-rc.2 v2.0.0-rc.10 v2.0.0");
}

#[test]
fn the_working_tree_is_judged_before_it_is_committed() {
    let mut lab = Lab::new();
    let put = |lab: &Lab, files: &Files<'_>| write(&lab.sandbox, files);
    put(&lab, &model(&[HEAD, BODY]));
    lab.commit("one");
    let mut judged = |files: Files<'_>| {
        put(&lab, &files);
        let (repo, session) = lab.open();
        let (_, old) = repo.head_manifest().unwrap().unwrap();
        let changes = diff(&repo, &DiffOptions::default(), &session).unwrap().changes;
        suggest_for_files(&repo, &old, &changes, &[], &session.progress).unwrap()
    };
    let said = |advice: Advice| match advice {
        Advice::Bump(said) => format!("{}: {}", said.kind, said.reason),
        Advice::Undecided(paths) => format!("undecided: {}", paths[0]),
    };
    assert_eq!(said(judged(vec![])), "patch: nothing differs");
    assert_eq!(said(judged(data("train.py", "1"))), "patch: only code differs");
    let trained = model(&[HEAD, ("body.weight", "F32", &[64, 8], 9)]);
    let told = "minor: retrained, 1 of 2 tensors differs in models/m.safetensors";
    assert_eq!(said(judged(trained)), told);
    let told = r#"major: tensor "head.weight" removed from models/m.safetensors"#;
    assert_eq!(said(judged(model(&[BODY]))), told);
    let lies = vec![("models/m.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}".to_vec())];
    assert_eq!(said(judged(lies)), "undecided: models/m.safetensors");
}

#[test]
fn many_changed_model_files_in_one_directory_are_judged_together() {
    let sandbox = Sandbox::new();
    let write = |text: &str| {
        (0..500)
            .for_each(|n| sandbox.write(format!("models/v{n:04}.txt"), format!("{text} {n}\n")));
    };
    write("a");
    sandbox.ok(&["commit", "-m", "a", "--tag", "v1.0.0"]);
    write("b");
    let document = sandbox.json(&["commit", "-m", "b", "--bump", "auto"]);
    assert_eq!(document["version"], "v1.0.1");
}
