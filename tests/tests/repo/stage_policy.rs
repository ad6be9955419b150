//! The rules of `mv.toml` for promotions, each by itself and together, and the command line around
//! them.

use mv_tests::{Output, Sandbox};

/// Versions v1.0.0 … with these metrics, `NAME=VALUE` separated by blanks.
fn versions(metrics: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (n, metrics) in (1..).zip(metrics) {
        sandbox.write("train.py", format!("{n}"));
        let (message, tag) = (format!("version {n}"), format!("v{n}.0.0"));
        let mut args = vec!["commit", "-m", &message, "--tag", &tag];
        for metric in metrics.split_whitespace() {
            args.extend(["--metric", metric]);
        }
        sandbox.ok(&args);
    }
    sandbox
}

fn rules(sandbox: &Sandbox, text: &str) {
    sandbox.write("mv.toml", format!("[project]\nname = \"model\"\n{text}"));
}

fn set(sandbox: &Sandbox, rev: &str) -> Output {
    sandbox.mv(&["stage", "set", "production", rev])
}

#[track_caller]
fn refused(sandbox: &Sandbox, rev: &str, why: &str) {
    let before = sandbox.json(&["stage", "history"]);
    let output = set(sandbox, rev).clean_fail(1);
    let line = output.stderr.lines().next().unwrap();
    assert_eq!(line, format!("error: {why}"));
    assert!(output.stderr.contains("mv.toml"), "the hint says where: {}", output.stderr);
    assert_eq!(sandbox.json(&["stage", "history"]), before);
}

#[test]
fn without_rules_every_version_may_be_promoted() {
    let sandbox = versions(&["accuracy=0.1"]);
    set(&sandbox, "v1.0.0").expect(0);
}

#[test]
fn a_semantic_version_is_asked_for() {
    let sandbox = versions(&["accuracy=0.9"]);
    sandbox.ok(&["commit", "--allow-empty", "-m", "not tagged"]);
    sandbox.ok(&["tag", "plain"]);
    rules(&sandbox, "[stage.production]\nrequire_semver = true\n");
    let log = sandbox.json(&["log", "-n", "1"]);
    let version = log[0]["version"].as_str().unwrap();
    let why = format!("production needs a semantic version tag; {version} has none");
    refused(&sandbox, "HEAD", &why);
    sandbox.ok(&["tag", "v2.0.0"]);
    set(&sandbox, "HEAD").expect(0);
}

#[test]
fn a_bound_of_a_metric_is_held_against_the_version() {
    let sandbox = versions(&["accuracy=0.87 ms=20", "accuracy=0.9 ms=20", "accuracy=0.95 ms=21"]);
    rules(&sandbox, "[stage.production]\nrequire = { accuracy = \">= 0.9\", ms = \"<= 20\" }\n");
    refused(&sandbox, "v1.0.0", "production needs accuracy >= 0.9; v1.0.0 has 0.87");
    refused(&sandbox, "v3.0.0", "production needs ms <= 20; v3.0.0 has 21");
    set(&sandbox, "v2.0.0").expect(0);
}

#[test]
fn a_metric_that_is_missing_or_no_number_is_refused() {
    let sandbox = versions(&["loss=1", "accuracy=high", "accuracy=nan", "accuracy=0.95"]);
    rules(&sandbox, "[stage.production]\nrequire.accuracy = \"> 0.9\"\n");
    refused(&sandbox, "v1.0.0", "production needs accuracy > 0.9; v1.0.0 has no accuracy");
    let word = "production needs accuracy > 0.9; v2.0.0 has `high`, which is no number";
    refused(&sandbox, "v2.0.0", word);
    let nan = "production needs accuracy > 0.9; v3.0.0 has `NaN`, which is no number";
    refused(&sandbox, "v3.0.0", nan);
    set(&sandbox, "v4.0.0").expect(0);
}

#[test]
fn a_version_may_be_worse_than_the_present_one_by_the_tolerance_and_no_more() {
    let sandbox = versions(&[
        "acc=0.8 loss=0.2",
        "acc=0.7 loss=0.3",
        "acc=0.9 loss=0.41",
        "acc=0.59 loss=0.1",
        "loss=0.1",
    ]);
    rules(&sandbox, "[stage.production]\nno_worse = { acc = \"-0.1\", loss = \"+0.1\" }\n");
    set(&sandbox, "v1.0.0").expect(0);
    // By the tolerance itself, which binary fractions would refuse.
    set(&sandbox, "v2.0.0").expect(0);
    refused(
        &sandbox,
        "v3.0.0",
        "production needs loss no worse than in v2.0.0 (0.3), and it may rise by 0.1; v3.0.0 has 0.41",
    );
    refused(
        &sandbox,
        "v4.0.0",
        "production needs acc no worse than in v2.0.0 (0.7), and it may fall by 0.1; v4.0.0 has 0.59",
    );
    let missing = "production needs acc no worse than in v2.0.0; v5.0.0 has no acc";
    refused(&sandbox, "v5.0.0", missing);
}

#[test]
fn rules_for_every_stage_hold_beside_those_of_one() {
    let sandbox = versions(&["acc=0.5 ms=5", "acc=0.9 ms=50", "acc=0.9 ms=5"]);
    rules(
        &sandbox,
        "[stage.\"*\"]\nrequire = { acc = \">= 0.6\" }\n[stage.production]\nrequire = { ms = \"< 10\" }\n",
    );
    refused(&sandbox, "v1.0.0", "production needs acc >= 0.6; v1.0.0 has 0.5");
    refused(&sandbox, "v2.0.0", "production needs ms < 10; v2.0.0 has 50");
    set(&sandbox, "v3.0.0").expect(0);
    sandbox.ok(&["stage", "set", "staging", "v2.0.0"]);
    sandbox.mv(&["stage", "set", "staging", "v1.0.0"]).clean_fail(1);
}

#[test]
fn a_rollback_and_an_undo_are_not_held_against_the_rules() {
    let sandbox = versions(&["acc=0.5", "acc=0.9"]);
    set(&sandbox, "v1.0.0").expect(0);
    set(&sandbox, "v2.0.0").expect(0);
    rules(&sandbox, "[stage.production]\nrequire = { acc = \">= 0.8\" }\n");
    sandbox.ok(&["stage", "rollback", "production"]);
    assert_eq!(sandbox.json(&["stage", "list"])[0]["version"], "v1.0.0");
    sandbox.ok(&["undo"]);
    sandbox.ok(&["undo"]);
    assert_eq!(sandbox.json(&["stage", "list"])[0]["version"], "v1.0.0");
    set(&sandbox, "v1.0.0").expect(0);
    set(&sandbox, "v2.0.0").expect(0);
    refused(&sandbox, "v1.0.0", "production needs acc >= 0.8; v1.0.0 has 0.5");
}

#[test]
fn a_rule_that_cannot_be_read_promotes_nothing() {
    let sandbox = versions(&["acc=0.5"]);
    for (text, key) in [
        ("[stage.production]\nrequire_tests = true\n", "`require_tests`"),
        ("[stage.production]\nrequire = { acc = 0.9 }\n", "`stage.production.require.acc`"),
        ("[stage.production]\nrequire = { acc = \"0.9\" }\n", "`stage.production.require.acc`"),
        ("[stage.\"*\"]\nno_worse = { acc = \"0.1\" }\n", "`stage.*.no_worse.acc`"),
        ("[stage.\"a b\"]\n", "`stage.a b`"),
        ("[stage.production]\nrequire = { val.acc = \">= x\" }\n", "require.val.acc`"),
        ("[stages.production]\n", "`stages`"),
    ] {
        rules(&sandbox, text);
        let output = set(&sandbox, "v1.0.0").clean_fail(2);
        assert!(output.stderr.contains(key), "{text}: {}", output.stderr);
    }
    assert_eq!(sandbox.json(&["stage"]), serde_json::json!([]));
    rules(&sandbox, "[stage.production]\nrequire = { val.acc = \">= 0.4\" }\n");
    refused(&sandbox, "HEAD", "production needs val.acc >= 0.4; v1.0.0 has no val.acc");
}

#[test]
fn the_documents_have_the_keys_of_the_contract() {
    let sandbox = versions(&["", "", ""]);
    assert_eq!(sandbox.json(&["stage", "list"]), serde_json::json!([]));
    let made = sandbox.json(&["stage", "set", "production", "v1.0.0", "-m", "first"]);
    assert_eq!((&made["moved"], &made["to_version"]), (&true.into(), &"v1.0.0".into()));
    let again = sandbox.json(&["stage", "set", "production", "v1.0.0"]);
    assert_eq!((&again["moved"], &again["id"]), (&false.into(), &made["id"]));
    sandbox.ok(&["stage", "set", "production", "v2.0.0", "-m", "second"]);
    sandbox.ok(&["stage", "set", "staging", "v3.0.0"]);
    let head = |rev: &str| sandbox.json(&["show", rev])["id"].clone();
    let list = sandbox.json(&["stage"]);
    let now = mv_graph::Time { ns: sandbox.now() * 1_000_000_000, offset_minutes: 0 };
    assert_eq!(list.as_array().unwrap().len(), 2);
    let expected = serde_json::json!({
        "name": "production",
        "target": head("v2.0.0"),
        "version": "v2.0.0",
        "since": list[0]["since"],
        "by": "Ada Lovelace <ada@example.org>",
        "reason": "second",
    });
    assert_eq!(list[0], expected);
    assert!(list[0]["since"].as_str().unwrap() < now.to_rfc3339_utc().as_str());
    let history = sandbox.json(&["stage", "history"]);
    let told: Vec<_> = history.as_array().unwrap().iter().map(|one| &one["to_version"]).collect();
    assert_eq!(told, ["v1.0.0", "v2.0.0", "v3.0.0"]);
    let expected = serde_json::json!({
        "name": "production",
        "sequence": 2,
        "at": list[0]["since"],
        "by": "Ada Lovelace <ada@example.org>",
        "kind": "set",
        "from": head("v1.0.0"),
        "to": head("v2.0.0"),
        "from_version": "v1.0.0",
        "to_version": "v2.0.0",
        "reason": "second",
        "id": history[1]["id"],
    });
    assert_eq!(history[1], expected);
    let at = sandbox.json(&["stage", "at", "production", "2026-01-01"]);
    assert_eq!(at, list[0]);
    let log = sandbox.json(&["log"]);
    assert_eq!(log[1]["stages"], serde_json::json!(["production"]));
    assert!(sandbox.ok(&["log", "--oneline"]).stdout.contains("v2.0.0 (production)"));
}

#[test]
fn who_played_a_role_is_answered_and_nobody_is_an_answer_as_well() {
    let sandbox = versions(&["", ""]);
    sandbox.ok(&["stage", "set", "production", "v1.0.0", "-m", "line one\nline two"]);
    sandbox.advance(3 * 24 * 3600);
    sandbox.ok(&["stage", "unset", "production", "-m", "gone"]);
    let output = sandbox.ok(&["stage", "at", "production", "2026-01-02"]);
    let id = sandbox.json(&["show", "v1.0.0"])["id"].as_str().unwrap().to_owned();
    for part in ["version v1.0.0", &id, "Ada Lovelace", "line one", "line two", "2026-01-01"] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
    for date in ["2025-12-31", "2026-01-04"] {
        let output = sandbox.mv(&["stage", "at", "production", date]).clean_fail(1);
        assert!(output.stderr.contains("nobody played `production` then"), "{}", output.stderr);
    }
    let output = sandbox.mv(&["stage", "at", "prodction", "2026-01-02"]).clean_fail(2);
    assert!(output.stderr.contains("unknown stage `prodction`"), "{}", output.stderr);
    assert!(output.stderr.contains("did you mean `production`"), "{}", output.stderr);
    sandbox.mv(&["stage", "at", "production", "soon"]).clean_fail(2);
    for args in [&["history", "x"][..], &["rollback", "x"], &["unset", "x"]] {
        let output = sandbox.mv(&[&["stage"], args].concat()).clean_fail(2);
        assert!(output.stderr.contains("unknown stage `x`"), "{}", output.stderr);
    }
    sandbox.mv(&["stage", "set", "production", "v9"]).clean_fail(2);
    sandbox.mv(&["stage", "set", "a..b", "HEAD"]).clean_fail(2);
    sandbox.mv(&["show", "production"]).clean_fail(2);
    assert_eq!(sandbox.json(&["stage"]), serde_json::json!([]));
}

#[test]
fn nothing_in_a_reason_or_name_reaches_the_terminal_as_it_is() {
    let sandbox = versions(&["", ""]);
    let reason = "red \u{1b}[31m\nbell \u{7} turned \u{202e}round";
    sandbox.ok(&["stage", "set", "production", "v1.0.0", "-m", reason]).printable();
    for args in [
        &["stage"][..],
        &["stage", "history"],
        &["stage", "at", "production", "2026-01-01"],
        &["reflog"],
    ] {
        let output = sandbox.ok(args);
        output.printable();
        assert!(args == ["reflog"] || output.stdout.contains(r"red \x1b[31m"), "{}", output.stdout);
    }
    assert_eq!(sandbox.json(&["stage"])[0]["reason"], reason);
    sandbox.mv(&["stage", "at", "pro\u{1b}[31m", "2026-01-01"]).clean_fail(2);
    sandbox.mv(&["stage", "set", "pro\u{1b}[31m", "HEAD"]).clean_fail(2);
}
