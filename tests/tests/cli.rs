//! The program from outside: its name beside the system's `mv`, its documents, its exit codes.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use mv_tests::{Output, Sandbox};
use serde_json::Value;

/// Runs the program by the name `mv`, with a PATH on which the system's comes after ours.
fn as_mv(sandbox: &Sandbox, args: &[&str]) -> Output {
    let bin = sandbox.outside().join("bin");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let mut command = Command::new(bin.join("mv"));
    command.arg0("mv").args(args).current_dir(sandbox.root()).env_clear().env("PATH", path);
    command.output().unwrap().into()
}

#[test]
fn a_first_word_that_is_no_command_is_the_system_s_business() {
    let sandbox = Sandbox::bare();
    sandbox.write("a b", b"1");
    as_mv(&sandbox, &["a b", "-c"]).expect(1);
    as_mv(&sandbox, &["--", "a b", "-c"]).expect(0);
    assert_eq!(fs::read(sandbox.root().join("-c")).unwrap(), b"1");
    as_mv(&sandbox, &["-f", "./-c", "c"]).expect(0);
    assert!(sandbox.root().join("c").exists());
    let failed = as_mv(&sandbox, &["missing", "elsewhere"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("missing"), "{}", failed.stderr);
}

#[test]
fn a_file_named_like_a_command_is_moved_outside_a_repository() {
    let sandbox = Sandbox::bare();
    sandbox.write("log", b"lines");
    as_mv(&sandbox, &["log", "log.old"]).expect(0);
    assert_eq!(fs::read(sandbox.root().join("log.old")).unwrap(), b"lines");
}

#[test]
fn inside_a_repository_the_clash_is_refused_with_both_spellings() {
    let sandbox = Sandbox::new();
    sandbox.write("log", b"lines");
    let refused = as_mv(&sandbox, &["log", "log.old"]).clean_fail(2);
    assert!(refused.stderr.contains("mver log log.old"), "{}", refused.stderr);
    assert!(refused.stderr.contains("mv ./log log.old"), "{}", refused.stderr);
    assert!(sandbox.root().join("log").exists());
    as_mv(&sandbox, &["./log", "log.old"]).expect(0);
}

#[test]
fn everything_else_is_ours_by_either_name() {
    let sandbox = Sandbox::new();
    sandbox.write("x", b"1");
    as_mv(&sandbox, &["status"]).expect(0);
    as_mv(&sandbox, &["--version"]).expect(0);
    assert!(as_mv(&sandbox, &["--help"]).expect(0).stdout.contains("commit"));
    sandbox.write("log", b"a file");
    as_mv(&sandbox, &["log"]).expect(0);
    // By the other name there is no pass-through at all.
    sandbox.mv(&["log", "log.old"]).clean_fail(2);
    sandbox.mv(&["x", "y"]).clean_fail(2);
    assert!(sandbox.root().join("x").exists());
}

#[test]
fn commands_that_share_never_reach_the_system_s_mv() {
    let sandbox = Sandbox::new();
    sandbox.write("x", b"1");
    for words in [&["push", "origin"][..], &["fetch"], &["pull", "x"], &["remote", "remove", "x"]] {
        as_mv(&sandbox, words).clean_fail(if words[0] == "push" { 1 } else { 2 });
    }
    as_mv(&sandbox, &["clone", "a/b", "c"]).clean_fail(4);
    assert!(sandbox.exists("x"));
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn assert_keys(value: &Value, expected: &[&str]) {
    for key in expected {
        assert!(value.get(key).is_some(), "no `{key}` in {value}");
    }
}

#[test]
fn every_document_has_the_keys_of_the_contract() {
    let sandbox = Sandbox::new();
    sandbox.write("train.py", b"print(1)\n");
    sandbox.write("models/m.safetensors", [7; 5000]);
    let commit = sandbox.json(&["commit", "-m", "one", "--metric", "acc=0.5", "--tag", "v1.0.0"]);
    assert_keys(
        &commit,
        &["id", "version", "branch", "logical_bytes", "new_bytes", "stored_bytes", "files"],
    );
    assert_keys(&commit, &["by_encoding", "skipped", "notes", "warnings"]);
    assert_keys(&commit["by_encoding"]["zstd"], &["raw_bytes", "stored_bytes"]);
    assert_eq!(commit["version"], "v1.0.0");
    assert_eq!(commit["id"].as_str().unwrap().len(), 64);
    sandbox.write("train.py", b"print(2)\n");
    let status = sandbox.json(&["status"]);
    assert_keys(&status, &["branch", "head", "version", "clean", "changes", "unfinished"]);
    assert_eq!(status["changes"][0]["path"], "train.py");
    assert_eq!(status["changes"][0]["component"], "code");
    assert_eq!(status["changes"][0]["change"], "modified");
    sandbox.ok(&["commit", "-m", "two", "--metric", "acc=0.75", "--param", "lr=0.1"]);
    let show = sandbox.json(&["show", "HEAD"]);
    assert_keys(
        &show,
        &[
            "id",
            "parents",
            "model_name",
            "version",
            "tags",
            "message",
            "author",
            "created",
            "components",
            "environment",
            "params",
            "metrics",
            "metadata",
            "source",
        ],
    );
    assert_eq!(keys(&show["components"]), ["code", "data", "env", "model"]);
    assert_keys(&show["components"]["model"], &["id", "files", "bytes"]);
    assert_eq!(show["metrics"]["acc"], 0.75);
    let log = sandbox.json(&["log"]);
    assert_eq!(log.as_array().unwrap().len(), 2);
    assert_eq!(log[1]["tags"][0], "v1.0.0");
    let diff = sandbox.json(&["diff", "v1.0.0", "HEAD"]);
    assert_keys(
        &diff,
        &[
            "from",
            "to",
            "seconds_between",
            "components",
            "files",
            "environment",
            "params",
            "metrics",
            "metadata",
            "suggested_bump",
        ],
    );
    assert_eq!(diff["files"][0]["change"], "modified");
    assert_eq!(diff["metrics"][0]["delta"], 0.25);
    let tags = sandbox.json(&["tag"]);
    assert_keys(&tags[0], &["name", "target", "version", "message", "created"][..2]);
    let files = sandbox.json(&["ls", "HEAD"]);
    assert_keys(&files[0], &["path", "component", "id", "bytes", "mode"]);
    let du = sandbox.json(&["du"]);
    assert_keys(
        &du,
        &["logical_bytes", "unique_bytes", "stored_bytes", "objects", "packs", "by_component"],
    );
    assert_keys(&du, &["retired_bytes"]);
    let gc = sandbox.json(&["gc"]);
    assert_keys(&gc, &["drop_records", "records_pruned", "retired_bytes"]);
    let fsck = sandbox.json(&["fsck", "--full"]);
    assert_keys(&fsck, &["ok", "checked_objects", "checked_bytes", "problems"]);
    assert_eq!(fsck["ok"], true);
    let error = sandbox.mv(&["--json", "show", "nowhere"]).expect(2).json();
    assert_keys(&error["error"], &["code", "message", "hint"]);
}

#[test]
fn the_id_of_a_file_is_what_b3sum_prints() {
    let sandbox = Sandbox::new();
    sandbox.write("w.bin", b"");
    sandbox.ok(&["commit", "-m", "one"]);
    let files = sandbox.json(&["ls"]);
    let file = files.as_array().unwrap().iter().find(|f| f["path"] == "w.bin").unwrap();
    assert_eq!(file["id"], "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
}

#[test]
fn exit_codes_say_what_kind_of_failure_it_was() {
    let sandbox = Sandbox::new();
    sandbox.write("f", b"1");
    sandbox.ok(&["commit", "-m", "one"]);
    sandbox.mv(&["commit", "-m", "again"]).clean_fail(1);
    sandbox.mv(&["commit"]).expect(2);
    sandbox.mv(&["show", "nowhere"]).clean_fail(2);
    sandbox.mv(&["--nonsense"]).expect(2);
    sandbox.write("f", b"2");
    sandbox.mv(&["diff", "--exit-code"]).expect(1);
    sandbox.mv(&["status", "--exit-code"]).expect(1);
    let outside = Sandbox::bare();
    outside.mv(&["status"]).clean_fail(2);
}

#[test]
fn what_a_commit_left_out_is_in_its_document_too() {
    let sandbox = Sandbox::new();
    sandbox.write("f", b"1");
    let socket = sandbox.root().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let commit = sandbox.json(&["commit", "-m", "one"]);
    assert_eq!(commit["skipped"][0]["path"], "socket", "{commit}");
    assert!(commit["skipped"][0]["reason"].is_string(), "{commit}");
}

#[test]
fn versions_of_one_second_are_told_apart_by_their_ids() {
    let sandbox = Sandbox::new();
    for n in 0..2 {
        let mut command = sandbox.command();
        command.env("MV_NOW", "2026-05-01T12:00:00Z");
        sandbox.write("f", n.to_string());
        sandbox.run(command.args(["commit", "-m", "one"])).expect(0);
    }
    let shown = sandbox.ok(&["du", "--versions"]).stdout;
    let log = sandbox.json(&["log"]);
    for version in log.as_array().unwrap() {
        let id = &version["id"].as_str().unwrap()[..12];
        assert!(shown.lines().any(|l| l.starts_with(&format!("20260501_120000  {id}"))), "{shown}");
    }
}

#[test]
fn on_a_remote_there_is_no_choice_of_how_to_repack() {
    let sandbox = Sandbox::new();
    let refused = sandbox.mv(&["repack", "--gather", "--remote", "origin"]).expect(2);
    assert!(refused.stderr.contains("--gather"), "{}", refused.stderr);
}

#[test]
fn the_demo_plays_to_its_end_and_verifies_every_byte() {
    let sandbox = Sandbox::bare();
    let told = sandbox.mv(&["demo"]).expect(0);
    assert_eq!(told.stdout.matches("byte for byte").count(), 2, "{}", told.stdout);
    assert!(told.stdout.contains("accuracy  0.9028   0.925  +0.0222"), "{}", told.stdout);
    let document = sandbox.mv(&["--json", "demo", "again"]).expect(0).json();
    assert_eq!(document["verified_files"], 10);
    sandbox.mv(&["demo", "again"]).clean_fail(2);
}

#[test]
fn a_closed_pipe_ends_the_output_quietly() {
    let sandbox = Sandbox::new();
    sandbox.write("f", b"1");
    sandbox.ok(&["commit", "-m", "one"]);
    let program = sandbox.outside().join("bin").join("mver");
    let line = format!("for i in 1 2 3; do '{}' log; done | head -n 1", program.display());
    let output: Output =
        Command::new("sh").args(["-c", &line]).current_dir(sandbox.root()).output().unwrap().into();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
}
