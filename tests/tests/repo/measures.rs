//! Params and metrics of versions: where they come from, and the commands that compare them.

use std::fs;

use mv_tests::{Sandbox, forge};
use serde_json::{Value, json};

fn shown(sandbox: &Sandbox) -> (Value, Value) {
    let show = sandbox.json(&["show", "HEAD"]);
    (show["params"].clone(), show["metrics"].clone())
}

#[test]
fn a_commit_takes_params_and_metrics_from_the_usual_files() {
    let sandbox = Sandbox::new();
    sandbox.write("params.yaml", "train:\n  lr: 0.001\n  layers: [64, 32]\nname: adam\n");
    sandbox.write("params.toml", "seed = 7\nname = \"sgd\"\n");
    sandbox.write("metrics.json", "{\"auc\": 0.9, \"loss\": NaN, \"test\": {\"f1\": 1}}");
    sandbox.write("dvclive/metrics.json", "{\"auc\": 0.95}");
    sandbox.write("dvclive/params.yaml", "epochs: 3\n");
    sandbox.commit("one");
    let (params, metrics) = shown(&sandbox);
    let expected = json!({"epochs": 3, "name": "sgd", "seed": 7, "train.layers.0": 64,
        "train.layers.1": 32, "train.lr": 0.001});
    assert_eq!(params, expected, "of two files the later in the list counts");
    assert_eq!(metrics, json!({"auc": 0.95, "loss": "NaN", "test.f1": 1}));
    sandbox.sound();
}

#[test]
fn what_is_typed_wins_over_files_and_is_a_change_of_its_own() {
    let sandbox = Sandbox::new();
    sandbox.write("params.yaml", "lr: 1\nn: 2\n");
    sandbox.ok(&["commit", "-m", "one", "--param", "lr=5", "--metric", "auc=0.5"]);
    assert_eq!(shown(&sandbox), (json!({"lr": 5, "n": 2}), json!({"auc": 0.5})));
    sandbox.mv(&["commit", "-m", "same", "--param", "lr=5", "--metric", "auc=0.5"]).clean_fail(1);
    sandbox.mv(&["commit", "-m", "same"]).clean_fail(1);
    sandbox.ok(&["commit", "-m", "two", "--metric", "auc=0.75"]);
    assert_eq!(shown(&sandbox), (json!({"lr": 1, "n": 2}), json!({"auc": 0.75})));
    sandbox.ok(&["commit", "-m", "three", "--meta", "host=a"]);
    sandbox.mv(&["commit", "-m", "same", "--meta", "host=a"]).clean_fail(1);
    assert_eq!(sandbox.json(&["log"]).as_array().unwrap().len(), 3);
}

#[test]
fn mv_toml_says_which_files_are_read() {
    let sandbox = Sandbox::new();
    let base = String::from_utf8(sandbox.read("mv.toml")).unwrap();
    sandbox.write("conf/train.toml", "lr = 3\n");
    sandbox.write("params.yaml", "lr: [broken\n");
    let refused = sandbox.mv(&["commit", "-m", "one"]).clean_fail(2);
    assert!(
        refused.stderr.starts_with("error: invalid `params.yaml`: line "),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("hint: ") && refused.stderr.contains("mv.toml"));
    assert_eq!(refused.stderr.lines().count(), 2, "{}", refused.stderr);
    sandbox.write("mv.toml", format!("{base}\n[params]\nfiles = [\"conf/train.toml\"]\n"));
    sandbox.write("metrics.json", "{\"auc\": 1}");
    sandbox.commit("one");
    assert_eq!(shown(&sandbox), (json!({"lr": 3}), json!({"auc": 1})));
    sandbox.write("mv.toml", format!("{base}\n[params]\nfiles = []\n[metrics]\nfiles = []\n"));
    sandbox.commit("two");
    assert_eq!(shown(&sandbox), (json!({}), json!({})));
}

#[test]
fn ignored_files_give_values_and_symlinks_do_not() {
    let sandbox = Sandbox::new();
    sandbox.write(".mvignore", "metrics.json\n");
    sandbox.write("metrics.json", "{\"auc\": 0.5}");
    fs::write(sandbox.outside().join("secret.yaml"), "token: abc\n").unwrap();
    sandbox.symlink("params.yaml", "../secret.yaml");
    let committed = sandbox.ok(&["commit", "-m", "one"]);
    assert!(committed.stderr.contains("`params.yaml`: it is a symlink"), "{}", committed.stderr);
    assert_eq!(shown(&sandbox), (json!({}), json!({"auc": 0.5})));
    let diff = sandbox.json(&["diff"]);
    assert_eq!(diff["metrics"], json!([]), "an ignored file is held against what was recorded");
    sandbox.remove("params.yaml");
    fs::create_dir(sandbox.outside().join("elsewhere")).unwrap();
    fs::write(sandbox.outside().join("elsewhere/metrics.json"), "{\"stolen\": 1}").unwrap();
    sandbox.symlink("dvclive", "../elsewhere");
    sandbox.write("metrics.json", "{\"auc\": 0.6}");
    sandbox.commit("two");
    assert_eq!(shown(&sandbox).1, json!({"auc": 0.6}));
}

#[test]
fn a_commit_of_some_paths_has_the_values_of_its_own_files() {
    let sandbox = Sandbox::new();
    sandbox.write("params.yaml", "lr: 1\n");
    sandbox.write("a.py", "1");
    sandbox.commit("one");
    sandbox.write("params.yaml", "lr: 2\n");
    sandbox.write("metrics.json", "{\"auc\": 1}");
    sandbox.write("a.py", "2");
    sandbox.ok(&["commit", "-m", "two", "a.py"]);
    assert_eq!(shown(&sandbox), (json!({"lr": 1}), json!({})));
    sandbox.ok(&["commit", "-m", "three", "params.yaml"]);
    assert_eq!(shown(&sandbox), (json!({"lr": 2}), json!({})));
    sandbox.write("params.yaml", "lr: [broken\n");
    sandbox.ok(&["commit", "-m", "four", "metrics.json"]);
    assert_eq!(shown(&sandbox), (json!({"lr": 2}), json!({"auc": 1})));
}

#[test]
fn an_amended_version_reads_files_anew_and_keeps_what_was_typed() {
    let sandbox = Sandbox::new();
    sandbox.write(".mvignore", "metrics.json\n");
    sandbox.write("params.yaml", "lr: 1\nold: 1\n");
    sandbox.write("metrics.json", "{\"auc\": 0.5}");
    sandbox.ok(&["commit", "-m", "one", "--param", "typed=x", "--metric", "human=4"]);
    sandbox.write("params.yaml", "lr: 2\nnew: 1\n");
    sandbox.write("metrics.json", "{\"auc\": 0.75}");
    sandbox.ok(&["commit", "--amend", "--param", "more=y"]);
    let params = json!({"lr": 2, "more": "y", "new": 1, "typed": "x"});
    assert_eq!(shown(&sandbox), (params, json!({"auc": 0.75, "human": 4})));
    assert_eq!(sandbox.json(&["log"]).as_array().unwrap().len(), 1);
}

#[test]
fn the_working_tree_is_compared_by_what_files_give() {
    let sandbox = Sandbox::new();
    sandbox.write("params.yaml", "lr: 1\nn: 2\n");
    sandbox.write("metrics.json", "{\"auc\": 0.5}");
    sandbox.ok(&["commit", "-m", "one", "--param", "typed=x", "--metric", "human=4"]);
    let diff = sandbox.json(&["diff"]);
    assert_eq!((&diff["params"], &diff["metrics"]), (&json!([]), &json!([])));
    sandbox.write("params.yaml", "lr: 1\nm: 3\n");
    sandbox.write("metrics.json", "{\"auc\": 0.75}");
    let diff = sandbox.json(&["diff"]);
    let names = |v: &Value| -> Vec<String> {
        v.as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&diff["params"]), ["m", "n"]);
    assert_eq!(diff["metrics"][0]["delta"], 0.25);
    assert_eq!(names(&diff["metrics"]), ["auc"]);
    sandbox.write("params.yaml", "lr: [\n");
    let diff = sandbox.json(&["diff"]);
    assert_eq!(
        diff["params"],
        json!([]),
        "half a file has no values, and no other file's are shown"
    );
}

#[test]
fn hostile_files_refuse_the_commit_in_one_line_and_leave_nothing() {
    let sandbox = Sandbox::new();
    let bomb: String = (0..9)
        .map(|n| match n {
            0 => "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(),
            n => format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", ")),
        })
        .collect();
    let many = format!("{{\"a\": [{}]}}", vec!["1"; 5000].join(","));
    for (file, text) in [
        ("params.yaml", bomb.into_bytes()),
        ("params.yaml", b"a: 1\na: 2\n".to_vec()),
        ("params.json", "[".repeat(1 << 20).into_bytes()),
        ("params.json", many.into_bytes()),
        ("params.json", b"{\"a\\u001b[2J\": 1}".to_vec()),
        ("params.json", b"{\"a\": \"\xff\xfe\"}".to_vec()),
        ("params.toml", b"a = 1\n\x1b[2J = 3\n".to_vec()),
        ("metrics.json", vec![b' '; (8 << 20) + 1]),
        ("metrics.json", b"{\"a\": 1}}".to_vec()),
    ] {
        sandbox.write(file, &text);
        let refused = sandbox.mv(&["commit", "-m", "one"]).clean_fail(2);
        let first = refused.stderr.lines().next().unwrap();
        assert!(first.starts_with(&format!("error: invalid `{file}`: ")), "{first}");
        assert!(first.len() < 400, "{first}");
        sandbox.remove(file);
    }
    assert_eq!(sandbox.json(&["log"]), json!([]));
    sandbox.write("params.json", vec![b' '; 8 << 20]);
    sandbox.commit("only blanks");
    sandbox.sound();
}

/// Three versions with tags and a branch of one more.
fn history() -> Sandbox {
    let sandbox = Sandbox::new();
    for (n, (auc, tag)) in
        [("0.8", "v1.0.0"), ("0.9", "v1.1.0"), ("NaN", "v1.2.0")].into_iter().enumerate()
    {
        sandbox.write("f", n.to_string());
        let loss = format!("loss={}", 0.5 - 0.125 * n as f64);
        let metric = format!("auc={auc}");
        let seed = format!("seed={n}");
        sandbox.ok(&[
            "commit",
            "-m",
            &format!("run {n}"),
            "--tag",
            tag,
            "--metric",
            &metric,
            "--metric",
            &loss,
            "--param",
            &seed,
        ]);
    }
    sandbox.ok(&["checkout", "-b", "experiment"]);
    sandbox.write("f", "x");
    sandbox.ok(&[
        "commit",
        "-m",
        "wild",
        "--metric",
        "auc=0.9",
        "--metric",
        "loss=text",
        "--param",
        "deep.er=1",
    ]);
    sandbox.ok(&["checkout", "main"]);
    sandbox
}

#[test]
fn tables_list_versions_with_their_values() {
    let sandbox = history();
    let lines = sandbox.ok(&["metrics"]).stdout;
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[0].starts_with("version") && lines[0].ends_with("loss"), "{lines:#?}");
    assert!(lines[1].starts_with("v1.2.0") && lines[1].contains("HEAD, main"), "{lines:#?}");
    assert!(lines[1].contains("NaN") && lines[1].ends_with("0.25"), "{lines:#?}");
    let all = sandbox.ok(&["metrics", "--all", "--only", "auc"]).stdout;
    assert_eq!(all.lines().count(), 5);
    assert!(all.contains("experiment") && !all.contains("loss"), "{all}");
    let two = sandbox.ok(&["metrics", "v1.1.0", "v1.0.0"]).stdout;
    let two: Vec<&str> = two.lines().collect();
    assert!(two.len() == 3 && two[1].starts_with("v1.1.0") && two[2].starts_with("v1.0.0"));
    let params = sandbox.ok(&["params", "--all"]).stdout;
    assert!(params.lines().next().unwrap().ends_with("deep.er  seed"), "{params}");
    assert!(params.lines().nth(1).unwrap().ends_with('-'), "{params}");
    let unknown = sandbox.ok(&["metrics", "--only", "acu"]);
    assert!(unknown.stderr.contains("did you mean `auc`"), "{}", unknown.stderr);
    sandbox.mv(&["metrics", "nowhere"]).clean_fail(2);
}

#[test]
fn documents_and_csv_have_every_digit() {
    let sandbox = history();
    sandbox.write("f", "4");
    sandbox.ok(&[
        "commit",
        "-m",
        "digits",
        "--metric",
        "auc=0.12345678901234567",
        "--metric",
        "n,\"x=1",
    ]);
    let rows = sandbox.json(&["metrics", "-n", "2"]);
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(rows[0]["metrics"]["auc"], 0.123_456_789_012_345_67);
    assert_eq!((&rows[0]["branch"], &rows[1]["branch"]), (&json!("main"), &Value::Null));
    assert_eq!(rows[1]["tags"], json!(["v1.2.0"]));
    assert_eq!(rows[1]["metrics"]["auc"], "NaN");
    for key in ["id", "version", "created"] {
        assert!(rows[0][key].is_string(), "{key}");
    }
    let params = sandbox.json(&["params", "v1.0.0"]);
    assert_eq!(params[0]["params"], json!({"seed": 0}));
    let csv = sandbox.ok(&["metrics", "--csv"]).stdout;
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "version,id,tags,branches,created,auc,\"n,\"\"x\",loss");
    assert!(
        lines[1].ends_with(",main,2026-01-01T00:00:08Z,0.12345678901234566,1,"),
        "{}",
        lines[1]
    );
    assert!(lines[2].ends_with(",NaN,,0.25"), "{}", lines[2]);
    assert_eq!((lines.len(), lines[5]), (6, ""));
}

#[test]
fn the_best_version_is_found_among_all_branches() {
    let sandbox = history();
    let best = sandbox.json(&["best", "auc", "-n", "9"]);
    assert_eq!(best["message"], "wild", "of equal values the newest counts, on whatever branch");
    assert_eq!((&best["value"], &best["metric"]), (&json!(0.9), &json!("auc")));
    assert_eq!(best["params"], json!({"deep.er": 1}));
    assert!(best["id"].is_string() && best["version"].is_string() && best["metrics"].is_object());
    let rest = best["runners_up"].as_array().unwrap();
    let names: Vec<&str> = rest.iter().map(|r| r["version"].as_str().unwrap()).collect();
    assert_eq!(names, ["v1.1.0", "v1.0.0"], "NaN is nowhere");
    assert_eq!(sandbox.json(&["best", "auc", "--min"])["version"], "v1.0.0");
    assert_eq!(sandbox.json(&["best", "loss", "--min"])["version"], "v1.2.0");
    assert_eq!(sandbox.json(&["best", "auc", "--rev", "main"])["version"], "v1.1.0");
    let told = sandbox.ok(&["best", "loss"]).stdout;
    assert!(told.starts_with("v1.0.0 ") && told.contains("loss 0.5"), "{told}");
    assert!(told.contains("run 0") && told.contains("seed 0"), "{told}");
    let id = sandbox.ok(&["best", "loss", "--quiet"]).stdout;
    assert_eq!(id.trim(), sandbox.json(&["best", "loss"])["id"]);
}

#[test]
fn without_a_best_version_the_answer_is_no() {
    let sandbox = history();
    let unknown = sandbox.mv(&["best", "acu"]).clean_fail(1);
    assert!(unknown.stderr.contains("did you mean `auc`"), "{}", unknown.stderr);
    sandbox.write("f", "9");
    sandbox.ok(&["commit", "-m", "words", "--metric", "grade=good"]);
    let words = sandbox.mv(&["best", "grade"]).clean_fail(1);
    assert!(words.stderr.contains("number"), "{}", words.stderr);
    sandbox.mv(&["best", "auc", "-n", "0"]).expect(2);
    let empty = Sandbox::new();
    empty.mv(&["best", "auc"]).clean_fail(1);
    empty.mv(&["plot", "auc"]).clean_fail(1);
    assert_eq!(empty.json(&["metrics"]), json!([]));
    empty.ok(&["params"]);
}

#[test]
fn a_plot_goes_from_old_to_new() {
    let sandbox = history();
    let chart = sandbox.ok(&["plot", "loss", "auc"]).stdout;
    assert!(chart.is_ascii(), "a pipe gets plain characters: {chart}");
    assert!(chart.lines().all(|line| line.len() <= 80), "{chart}");
    let below = chart.lines().find(|l| l.contains("v1.0.0")).unwrap();
    assert!(below.find("v1.0.0") < below.find("v1.2.0"), "{below}");
    let document = sandbox.json(&["plot", "auc", "loss"]);
    assert_eq!(document["points"][0]["values"], json!([0.8, 0.5]));
    sandbox.ok(&["plot", "auc", "loss", "--all", "-o", "chart.svg"]);
    let svg = String::from_utf8(sandbox.read("chart.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<circle").count(), 6, "NaN and text are gaps");
    sandbox.mv(&["plot", "auc", "-o", "chart.png"]).clean_fail(2);
    let unknown = sandbox.mv(&["plot", "acu"]).clean_fail(1);
    assert!(unknown.stderr.contains("did you mean `auc`"), "{}", unknown.stderr);
    sandbox.mv(&["plot", "auc", "-o", "no/such/folder.svg"]).clean_fail(6);
}

#[test]
fn hostile_names_and_texts_are_only_text_everywhere() {
    let sandbox = Sandbox::new();
    let name = "a\u{202e}<script>&\"'";
    let metric = format!("{name}=0.5");
    let text = "\u{1b}]0;x\u{7}</text>\r\nline";
    sandbox.write("f", "1");
    sandbox.ok(&[
        "commit",
        "-m",
        "\u{1b}[31m<b>",
        "--metric",
        &metric,
        "--metric",
        &format!("words={text}"),
        "--param",
        &format!("p={text}"),
    ]);
    for args in [
        &["metrics"][..],
        &["metrics", "--csv"],
        &["--json", "metrics"],
        &["params"],
        &["params", "--csv"],
        &["best", name],
        &["best", name, "-n", "3"],
        &["--json", "best", name],
        &["plot", name],
        &["--json", "plot", name],
        &["log", "--oneline", "--metric", name],
        &["plot", name, "-o", "x.svg"],
    ] {
        let output = sandbox.ok(args);
        let plain =
            mv_tests::Output { stdout_bytes: output.stdout.replace('\r', "").into(), ..output };
        plain.printable();
    }
    let svg = String::from_utf8(sandbox.read("x.svg")).unwrap();
    assert!(!svg.contains("<script") && !svg.contains("<b>") && !svg.contains('\u{1b}'), "{svg}");
}

#[test]
fn the_history_shows_the_metrics_that_are_asked_for() {
    let sandbox = history();
    let lines = sandbox.ok(&["log", "--oneline", "--metric", "loss", "--metric", "auc"]).stdout;
    let first = lines.lines().next().unwrap();
    assert!(first.ends_with("loss 0.25, auc NaN"), "{first}");
    let missing = sandbox.ok(&["log", "--oneline", "--metric", "acu"]);
    assert!(missing.stderr.contains("did you mean `auc`"), "{}", missing.stderr);
    assert_eq!(missing.stdout.lines().count(), 3);
}

#[test]
#[ignore = "a measurement: run it with MV_UNDER_TEST naming a release build"]
fn measure_tables_of_ten_thousand_versions() {
    let sandbox = Sandbox::new();
    let mut clock = mv_tests::Clock::default();
    let session = clock.session();
    let repo = mv_repo::Repo::open(sandbox.root(), &session).unwrap();
    let writer = mv_store::StoreWriter::begin(repo.store(), &session.nonces).unwrap();
    let empty = forge::tree(&[]);
    let tree = writer.put(mv_store::Kind::Tree, &empty).unwrap();
    let mut tip = None;
    for n in 0..10_000 {
        let bytes = forge::manifest(tree, 0, 0, &format!("run {n}"));
        let mut manifest = mv_graph::Manifest::decode(&bytes).unwrap();
        manifest.parents = tip.into_iter().collect();
        manifest.created.ns = i64::from(n) * 1_000_000_000;
        let value = |name: &str, at: f64| {
            (name.to_owned(), mv_graph::Scalar::float(at * f64::from(n).sin()))
        };
        manifest.metrics = vec![value("auc", 0.9), value("loss", 0.1), value("val.auc", 0.8)];
        manifest.params = vec![value("epochs", 9.0), value("lr", 0.001)];
        tip = Some(writer.put(mv_store::Kind::Manifest, &manifest.encode().unwrap()).unwrap());
    }
    let written = writer.finish().unwrap();
    let transport = mv_store::DirTransport::open(&sandbox.dot());
    let newest = mv_graph::chain::newest(&transport, None).unwrap();
    let mut next = newest.state.next("measure", session.nonces.next(), session.now, None);
    next.add_packs(&written.packs);
    next.set_branch(mv_graph::RefName::parse("main").unwrap(), tip.unwrap());
    mv_graph::chain::append(&transport, &newest, next).unwrap();
    for args in [
        &["log", "--oneline"][..],
        &["metrics"],
        &["params", "--csv"],
        &["--json", "metrics"],
        &["best", "auc"],
        &["plot", "auc"],
        &["plot", "auc", "-o", "chart.svg"],
    ] {
        let best = (0..5).map(|_| {
            let start = std::time::Instant::now();
            sandbox.ok(args);
            start.elapsed()
        });
        println!("{args:?}: {:?}", best.min().unwrap());
    }
}
