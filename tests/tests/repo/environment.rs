//! What is captured around the files: Python with its packages, and the git commit beside it.

use std::path::Path;

use mv_tests::{Output, Sandbox};
use serde_json::{Value, json};

const SITE: &str = ".venv/lib/python3.11/site-packages";

/// A project with a virtual environment of its own.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(".venv/pyvenv.cfg", "home = /nowhere/bin\nversion = 3.11.4\n");
    install(&sandbox, "numpy", "1.26.4");
    sandbox.write("train.py", "1\n");
    sandbox
}

fn install(sandbox: &Sandbox, name: &str, version: &str) {
    let path = format!("{SITE}/{name}.dist-info/METADATA");
    sandbox.write(path, format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"));
}

#[test]
fn a_version_records_the_packages_and_an_equal_environment_is_one_object() {
    let sandbox = project();
    sandbox.commit("one");
    let first = sandbox.json(&["show"])["environment"].clone();
    assert_eq!(first["python"], "3.11.4");
    assert_eq!(first["packages"], json!({"numpy": "1.26.4"}));
    assert_eq!(first["interpreter"], "virtualenv");
    assert!(first["os"].is_string(), "{first}");
    sandbox.write("train.py", "2\n");
    sandbox.commit("two");
    assert_eq!(sandbox.json(&["show"])["environment"], first);
    install(&sandbox, "torch", "2.1");
    sandbox.json(&["commit", "--amend", "-m", "two, with torch"]);
    let amended = sandbox.json(&["show"])["environment"].clone();
    assert_eq!(amended["packages"], json!({"numpy": "1.26.4", "torch": "2.1"}));
    assert_ne!(amended["id"], first["id"]);
    let log = sandbox.json(&["log"]);
    assert_eq!((&log[0]["environment"], &log[1]["environment"]), (&amended, &first));
    let text = sandbox.ok(&["show"]).stdout;
    assert!(text.contains("Environment: python 3.11.4, 2 packages, "), "{text}");
    sandbox.sound();
    sandbox.ok(&["gc", "--apply"]);
    assert_eq!(sandbox.json(&["show"])["environment"], amended);
}

#[test]
fn check_and_checkout_tell_when_the_environment_is_another() {
    let sandbox = project();
    sandbox.json(&["commit", "-m", "one", "--tag", "v1.0.0"]);
    sandbox.mv(&["env", "check"]).expect(0);
    let back = sandbox.ok(&["checkout", "v1.0.0"]);
    assert!(!back.stderr.contains("environment"), "{}", back.stderr);
    install(&sandbox, "numpy", "2.0");
    install(&sandbox, "scipy", "1.0");
    sandbox.write(".venv/pyvenv.cfg", "home = /nowhere/bin\nversion = 3.11.9\n");
    let check = sandbox.mv(&["env", "check", "v1.0.0"]).expect(1);
    assert_eq!(
        check.stdout,
        "changed  python  3.11.4 -> 3.11.9\nchanged  numpy   1.26.4 -> 2.0\nadded    scipy   1.0\n\
         the environment differs from v1.0.0: 2 packages, python 3.11.4 -> 3.11.9\n"
    );
    let quiet = sandbox.mv(&["-q", "env", "check"]).expect(1);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let document = sandbox.mv(&["--json", "env", "check"]).expect(1).json();
    assert_eq!(document["equal"], false);
    let numpy = json!({"package": "numpy", "kind": "package", "from": "1.26.4", "to": "2.0"});
    assert_eq!(document["environment"][1], numpy);
    let line = "environment differs from this version: 2 packages, python 3.11.4 -> 3.11.9; see `mver env check`\n";
    let told = sandbox.ok(&["checkout", "main"]);
    assert!(told.stderr.contains(line), "{}", told.stderr);
    assert_eq!(sandbox.ok(&["-q", "checkout", "main"]).stderr, "");
    assert_eq!(sandbox.json(&["checkout", "main"])["environment_differs"], true);
    let restored = sandbox.ok(&["checkout", "main", "--", "train.py"]);
    assert!(!restored.stderr.contains("environment"), "{}", restored.stderr);
    // Nothing but the environment has changed: that is no version, but it is told.
    let nothing = sandbox.mv(&["commit", "-m", "two"]).clean_fail(1);
    assert!(nothing.stderr.contains("the environment differs (2 packages"), "{}", nothing.stderr);
    sandbox.ok(&["commit", "--allow-empty", "-m", "two"]);
    sandbox.mv(&["env", "check"]).expect(0);
    let diff = sandbox.json(&["env", "diff", "v1.0.0", "HEAD"]);
    assert_eq!(diff["environment"].as_array().unwrap().len(), 3);
    assert_eq!(sandbox.json(&["env", "diff"])["environment"], json!([]));
}

#[test]
fn an_environment_can_be_shown_and_written_for_pip() {
    let sandbox = project();
    install(&sandbox, "toy", "0.1");
    let direct =
        r#"{"url":"https://me:SECRET@host/toy.git","vcs_info":{"vcs":"git","commit_id":"1a2b"}}"#;
    sandbox.write(format!("{SITE}/toy.dist-info/direct_url.json"), direct);
    sandbox.commit("one");
    let shown = sandbox.ok(&["env", "show"]).stdout;
    assert!(shown.contains("python  3.11.4 (virtualenv)\n"), "{shown}");
    assert!(shown.contains("  toy    0.1     git+https://host/toy.git@1a2b\n"), "{shown}");
    let lines = sandbox.ok(&["env", "export"]).stdout;
    let lines: Vec<_> = lines.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["numpy==1.26.4", "toy @ git+https://host/toy.git@1a2b"]);
    sandbox.ok(&["env", "export", "-o", "out.txt"]);
    let written = String::from_utf8(sandbox.read("out.txt")).unwrap();
    assert!(written.ends_with("numpy==1.26.4\ntoy @ git+https://host/toy.git@1a2b\n"), "{written}");
    sandbox.mv(&["env", "export", "--conda"]).clean_fail(2);
    for args in [&["env", "show"][..], &["env", "export"], &["show"], &["log"]] {
        let output = sandbox.mv(&[&["--json"], args].concat()).expect(0);
        assert!(!output.stdout.contains("SECRET"), "{args:?}");
    }
    install(&sandbox, "numpy", "3.0");
    assert_eq!(sandbox.json(&["env", "show", "--now"])["packages"]["numpy"], "3.0");
}

#[test]
fn the_environment_of_a_shell_is_found_by_its_variables() {
    let sandbox = project();
    let other = sandbox.outside().join("conda");
    std::fs::create_dir_all(other.join("conda-meta")).unwrap();
    let record = r#"{"name":"openssl","version":"3.3","build":"h_0","channel":"conda-forge"}"#;
    std::fs::write(other.join("conda-meta/openssl-3.3-h_0.json"), record).unwrap();
    let output = sandbox.run(
        sandbox.command().env("CONDA_PREFIX", &other).args(["--json", "env", "show", "--now"]),
    );
    let shown = output.expect(0).json();
    assert_eq!(shown["packages"], json!({"openssl": "3.3"}));
    assert_eq!(shown["interpreter"], "conda");
    sandbox
        .run(sandbox.command().env("CONDA_PREFIX", &other).args(["commit", "-m", "conda"]))
        .expect(0);
    let yaml = sandbox.ok(&["env", "export", "--conda"]).stdout;
    let yaml: Vec<_> = yaml.lines().skip(1).collect();
    assert_eq!(
        yaml,
        ["channels:", "  - \"conda-forge\"", "dependencies:", "  - \"openssl=3.3=h_0\""]
    );
}

#[test]
fn no_variable_of_the_process_is_recorded() {
    let sandbox = project();
    let mut command = sandbox.command();
    for name in ["AWS_SECRET_ACCESS_KEY", "VIRTUAL_ENV_PROMPT", "PYTHONPATH", "HF_TOKEN"] {
        command.env(name, "SECRET-VALUE");
    }
    sandbox.run(command.args(["commit", "-m", "one"])).expect(0);
    let shown = sandbox.ok(&["--json", "show"]).stdout;
    assert!(!shown.contains("SECRET-VALUE"), "{shown}");
    let root = sandbox.outside().display().to_string();
    assert!(!shown.contains(&root), "{shown}");
}

#[test]
fn hostile_records_reach_the_terminal_escaped_and_never_stop_a_commit() {
    let sandbox = project();
    let escapes = "\u{1b}[31m\u{9b}2J\u{202e}\u{7}";
    install(&sandbox, "evil", &format!("1{escapes}"));
    sandbox.write(format!("{SITE}/{escapes}-1.dist-info/METADATA"), "");
    sandbox.write(format!("{SITE}/huge-1.0.dist-info/METADATA"), vec![b'x'; 3 << 20]);
    sandbox.write(".venv/pyvenv.cfg", format!("home = {escapes}\nversion = 3.11{escapes}\n"));
    sandbox.ok(&["-v", "commit", "-m", "one"]).printable();
    install(&sandbox, "evil", &format!("2{escapes}"));
    for args in [
        &["show"][..],
        &["env", "show"],
        &["env", "diff"],
        &["env", "check"],
        &["env", "export"],
        &["checkout", "main"],
        &["--json", "env", "show"],
        &["--json", "show"],
    ] {
        let output = sandbox.mv(args);
        assert!(output.code <= 1, "{args:?}: {}", output.stderr);
        output.printable();
    }
    let shown = sandbox.json(&["show"])["environment"]["packages"]["evil"].clone();
    assert_eq!(shown, format!("1{escapes}"));
}

#[test]
fn a_version_without_an_environment_says_so() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1");
    let repo = mv_repo::Repo::open(sandbox.root(), &mv_tests::session(1)).unwrap();
    let options = mv_repo::commit::CommitOptions {
        message: Some("without surroundings".into()),
        ..Default::default()
    };
    mv_repo::commit::commit(&repo, &options, &mv_tests::session(2)).unwrap();
    assert_eq!(sandbox.json(&["show"])["environment"], Value::Null);
    for args in [["env", "show"], ["env", "check"], ["env", "diff"], ["env", "export"]] {
        let failed = sandbox.mv(&args).clean_fail(2);
        assert!(failed.stderr.contains("no environment was captured"), "{}", failed.stderr);
    }
    let document = sandbox.mv(&["--json", "env", "show"]).expect(2).json();
    assert_eq!(document["error"]["code"], "no_environment");
    sandbox.mv(&["env", "show", "nowhere"]).clean_fail(2);
}

/// Runs the real git in a directory of the sandbox.
#[track_caller]
fn git(sandbox: &Sandbox, dir: &Path, args: &[&str]) -> String {
    let mut command = sandbox.command_for(Path::new("git"));
    command
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"])
        .args(args);
    let output: Output = sandbox.run(&mut command);
    output.expect(0).stdout.trim().to_owned()
}

/// Runs `mver init` there, and a commit; gives what is recorded as the source.
#[track_caller]
fn recorded(sandbox: &Sandbox, dir: &Path) -> Value {
    sandbox.mv_in(dir, &["init", "--name", "model"]).expect(0);
    sandbox.mv_in(dir, &["commit", "--allow-empty", "-m", "one"]).expect(0);
    sandbox.mv_in(dir, &["--json", "show"]).expect(0).json()["source"].clone()
}

/// A git repository at the root with one commit.
fn with_git() -> (Sandbox, String) {
    let sandbox = Sandbox::bare();
    sandbox.write("train.py", "1\n");
    let root = sandbox.root().to_path_buf();
    git(&sandbox, &root, &["init", "-q"]);
    git(&sandbox, &root, &["add", "."]);
    git(&sandbox, &root, &["commit", "-qm", "one"]);
    let id = git(&sandbox, &root, &["rev-parse", "HEAD"]);
    (sandbox, id)
}

#[test]
fn a_version_names_the_git_commit_beside_it() {
    let (sandbox, id) = with_git();
    let root = sandbox.root().to_path_buf();
    git(&sandbox, &root, &["remote", "add", "origin", "https://me:SECRET@host/churn.git"]);
    let source = recorded(&sandbox, &root);
    let expected = json!({
        "vcs": "git", "commit": id, "branch": "main", "dirty": false,
        "url": "https://host/churn.git",
    });
    assert_eq!(source, expected);
    // Nothing of ours is seen by git but the file that the user is to commit.
    assert_eq!(git(&sandbox, &root, &["status", "--short"]), "?? mv.toml");
    sandbox.write("train.py", "2\n");
    assert_eq!(recorded(&sandbox, &root)["dirty"], true);
    let line = format!("Source:  git {} (main, dirty) https://host/churn.git\n", &id[..12]);
    let text = sandbox.ok(&["show"]).stdout;
    assert!(text.contains(&line), "{text}");
    git(&sandbox, &root, &["checkout", "-q", "--detach"]);
    assert_eq!(recorded(&sandbox, &root)["branch"], Value::Null);
    git(&sandbox, &root, &["checkout", "-q", "-b", "dev"]);
    git(&sandbox, &root, &["remote", "add", "team", "git@team:churn.git"]);
    git(&sandbox, &root, &["config", "branch.dev.remote", "team"]);
    assert_eq!(recorded(&sandbox, &root)["url"], "git@team:churn.git");
}

#[test]
fn a_project_below_the_root_of_git_is_found_and_files_of_mv_are_no_change() {
    let (sandbox, id) = with_git();
    let root = sandbox.root().to_path_buf();
    sandbox.write("models/churn/train.py", "1\n");
    let source = recorded(&sandbox, &root.join("models/churn"));
    assert_eq!((&source["commit"], &source["dirty"]), (&json!(id), &json!(false)));
    let seen = git(&sandbox, &root, &["status", "--short", "-uall"]);
    assert_eq!(seen, "?? models/churn/mv.toml\n?? models/churn/train.py");
    // Even when somebody has added the repository folder to git.
    git(&sandbox, &root, &["add", "-f", "models/churn/.mv/format"]);
    assert_eq!(recorded(&sandbox, &root.join("models/churn"))["dirty"], false);
}

#[test]
fn a_worktree_and_a_submodule_of_git_have_a_source_and_do_not_see_our_folder() {
    let (sandbox, id) = with_git();
    let root = sandbox.root().to_path_buf();
    let tree = sandbox.outside().join("tree");
    git(&sandbox, &root, &["worktree", "add", "-q", "-b", "work", &tree.to_string_lossy()]);
    let source = recorded(&sandbox, &tree);
    assert_eq!((&source["commit"], &source["branch"]), (&json!(id), &json!("work")));
    assert_eq!(git(&sandbox, &tree, &["status", "--short"]), "?? mv.toml");
    let outer = sandbox.outside().join("outer");
    std::fs::create_dir(&outer).unwrap();
    git(&sandbox, &outer, &["init", "-q"]);
    git(&sandbox, &outer, &["submodule", "--quiet", "add", &root.to_string_lossy(), "sub"]);
    git(&sandbox, &outer, &["commit", "-qm", "sub"]);
    let source = recorded(&sandbox, &outer.join("sub"));
    assert_eq!((&source["commit"], &source["dirty"]), (&json!(id), &json!(false)));
    assert_eq!(git(&sandbox, &outer.join("sub"), &["status", "--short"]), "?? mv.toml");
    assert_eq!(recorded(&sandbox, &outer)["dirty"], false);
}

#[test]
fn git_that_comes_after_init_is_found_and_init_again_hides_our_folder() {
    let sandbox = Sandbox::new();
    let root = sandbox.root().to_path_buf();
    sandbox.write("train.py", "1\n");
    sandbox.commit("before git");
    assert_eq!(sandbox.json(&["show"])["source"], Value::Null);
    git(&sandbox, &root, &["init", "-q"]);
    // No commit yet: no source.
    assert_eq!(recorded(&sandbox, &root), Value::Null);
    assert_eq!(git(&sandbox, &root, &["status", "--short"]), "?? mv.toml\n?? train.py");
    git(&sandbox, &root, &["add", "."]);
    git(&sandbox, &root, &["commit", "-qm", "one"]);
    let id = git(&sandbox, &root, &["rev-parse", "HEAD"]);
    assert_eq!(recorded(&sandbox, &root)["commit"], json!(id));
}

#[test]
fn broken_git_and_no_git_are_no_source_and_no_failure() {
    let (sandbox, _) = with_git();
    let root = sandbox.root().to_path_buf();
    sandbox.ok(&["init"]);
    let bin = sandbox.outside().join("bin");
    let output = sandbox.run(sandbox.command().env("PATH", &bin).args(["commit", "-m", "no git"]));
    assert_eq!(output.expect(0).stderr, "");
    assert_eq!(sandbox.json(&["show"])["source"], Value::Null);
    std::fs::write(root.join(".git/HEAD"), "nonsense").unwrap();
    assert_eq!(recorded(&sandbox, &root), Value::Null);
    std::fs::remove_dir_all(root.join(".git")).unwrap();
    std::fs::write(root.join(".git"), "gitdir: /nowhere").unwrap();
    assert_eq!(recorded(&sandbox, &root), Value::Null);
}

#[test]
fn settings_of_a_git_repository_run_no_monitor_and_no_hook() {
    let (sandbox, id) = with_git();
    let root = sandbox.root().to_path_buf();
    let flag = sandbox.outside().join("ran");
    let script = format!("#!/bin/sh\ntouch '{}'\n", flag.display());
    for name in ["monitor", "hooks/post-index-change"] {
        sandbox.write(format!(".git/{name}"), &script);
        sandbox.chmod(format!(".git/{name}"), 0o755);
    }
    let monitor = root.join(".git/monitor");
    git(&sandbox, &root, &["config", "core.fsmonitor", &monitor.to_string_lossy()]);
    // Stale stat data that git would like to write back.
    sandbox.write("train.py", "1\n");
    assert_eq!(recorded(&sandbox, &root)["commit"], json!(id));
    assert!(!flag.exists());
    // Variables that point git elsewhere, as inside a hook, are not handed on.
    sandbox.write("train.py", "2\n");
    let mut command = sandbox.command();
    command.env("GIT_DIR", "/nowhere").env("GIT_INDEX_FILE", "/nowhere/index");
    sandbox.run(command.args(["commit", "-m", "in a hook"])).expect(0);
    assert_eq!(sandbox.json(&["show"])["source"]["commit"], json!(id));
}
