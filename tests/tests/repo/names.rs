//! Names and kinds of files that other tools lose: what is committed comes back byte for byte.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;

use mv_tests::{Files, Node, Sandbox};

/// Trees that are hard to keep.
fn odd_files() -> Files {
    let mut files = Files::default();
    for name in [
        b"with space".as_slice(),
        b" leading and trailing ",
        b"new\nline",
        b"tab\there",
        b"-leading-dash",
        b"--force",
        b"emoji \xf0\x9f\xa6\x80",
        b"combining e\xcc\x81",
        b"precomposed \xc3\xa9",
        b"not utf-8 \xff\xfe",
        b"quote\"s and 'these'",
        b"back\\slash",
        b"star*?[x]",
        b"#hash",
        b"!bang",
        b"~tilde",
        b"$HOME",
        b"CON",
        b"Case",
        b"case",
        b"trailing.",
        b"...",
        b"\x01control\x7f",
        b"\x1b[31mred",
    ] {
        if name != b"back\\slash" {
            files.put(name, name);
        }
        let mut below = b"dir/".to_vec();
        below.extend(name.iter().filter(|b| **b != b'\\'));
        files.put(below, b"x");
    }
    files.put(vec![b'n'; 255], "longest name");
    let deep = std::iter::repeat_n("d", 60).collect::<Vec<_>>().join("/");
    files.put(deep, "deep");
    files.put("empty", "");
    files.put("crlf.csv", "a,b\r\n1,2\r\n");
    files.put("cr.txt", "a\rb");
    files.put("no-newline", "x");
    files.put("nul.bin", "a\0b");
    files.put("models/zeros.bin", vec![0u8; 300_000]);
    let exec = |bytes: &[u8]| Node::File { bytes: bytes.to_vec(), exec: true };
    files.0.insert(b"run.sh".to_vec(), exec(b"#!/bin/sh\n"));
    files.0.insert(b"empty-exec".to_vec(), exec(b""));
    for (name, target) in [
        ("dangling", "nowhere/at all"),
        ("loop-a", "loop-b"),
        ("loop-b", "loop-a"),
        ("self", "self"),
        ("absolute", "/etc/passwd"),
        ("up", "../../.."),
        ("to-dir", "dir"),
        ("into-dot", ".mv/format"),
        ("data/link", "../models/zeros.bin"),
    ] {
        files.0.insert(name.into(), Node::Symlink(target.into()));
    }
    files.0.insert(b"odd-link".to_vec(), Node::Symlink(b"\xff\n".to_vec()));
    files.0.insert(b"empty-dir".to_vec(), Node::EmptyDir);
    files.0.insert(b"nested/empty/dir".to_vec(), Node::EmptyDir);
    files.0.insert(b"data/empty".to_vec(), Node::EmptyDir);
    files
}

#[test]
fn every_odd_name_and_kind_comes_back_byte_for_byte() {
    let sandbox = Sandbox::bare();
    sandbox.ok(&["init"]);
    odd_files().write(sandbox.root());
    let before = sandbox.files();
    let id = sandbox.commit("odd");
    sandbox.sound();
    assert_eq!(sandbox.json(&["status"])["clean"], true);
    // Away to a version without any of it, and back.
    sandbox.ok(&["checkout", "-b", "bare"]);
    for name in odd_files().0.keys() {
        let first = name.split(|b| *b == b'/').next().unwrap();
        if sandbox.exists(OsStr::from_bytes(first)) {
            sandbox.remove(OsStr::from_bytes(first));
        }
    }
    sandbox.commit("nothing left");
    sandbox.ok(&["checkout", &id]);
    sandbox.files().assert_same(&before, "after checkout");
    assert_eq!(sandbox.json(&["status"])["clean"], true);
    // Into an empty directory.
    let copy = Sandbox::bare();
    std::process::Command::new("cp")
        .args(["-a"])
        .arg(sandbox.dot())
        .arg(copy.root())
        .status()
        .unwrap();
    copy.ok(&["checkout", "--force", &id]);
    copy.files().assert_same(&before, "in an empty directory");
    assert_eq!(copy.json(&["status"])["clean"], true);
}

#[test]
fn a_backslash_in_a_name_is_kept_or_refused_by_name() {
    let sandbox = Sandbox::new();
    sandbox.write("good.txt", "good");
    sandbox.write("back\\slash", "x");
    let before = sandbox.files();
    let output = sandbox.mv(&["commit", "-m", "x"]);
    if output.code == 0 && !output.stderr.contains("back") {
        sandbox.remove("back\\slash");
        sandbox.ok(&["checkout", "--force", "HEAD"]);
        sandbox.files().assert_same(&before, "after checkout");
    } else {
        assert!(output.stderr.contains("back"), "{}", output.stderr);
        assert_ne!(output.code, 0, "a commit without the file must not succeed silently");
    }
}

#[test]
fn a_file_of_mostly_holes_comes_back_and_is_stored_small() {
    let sandbox = Sandbox::new();
    let path = sandbox.root().join("sparse.bin");
    let file = File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"end", (64 << 20) - 3).unwrap();
    drop(file);
    let document = sandbox.json(&["commit", "-m", "sparse"]);
    assert!(document["stored_bytes"].as_u64().unwrap() < 1 << 20, "{document}");
    let before = sandbox.read("sparse.bin");
    sandbox.remove("sparse.bin");
    sandbox.ok(&["checkout", "--force", "HEAD"]);
    assert_eq!(sandbox.read("sparse.bin"), before);
}

#[test]
fn sockets_and_pipes_are_named_and_left_out() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "a");
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.root().join("sock")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(sandbox.root().join("pipe")).status();
    assert!(made.unwrap().success());
    let output = sandbox.ok(&["commit", "-m", "x"]);
    assert!(output.stderr.contains("sock") && output.stderr.contains("pipe"), "{}", output.stderr);
    let paths = sandbox.json(&["ls"]);
    assert!(!paths.to_string().contains("sock"), "{paths}");
}

#[test]
fn ls_and_status_in_json_give_names_without_loss() {
    let sandbox = Sandbox::new();
    odd_files().without(|p| std::str::from_utf8(p).is_err()).write(sandbox.root());
    let changes = sandbox.json(&["status"]);
    let found: Vec<_> = changes["changes"].as_array().unwrap().iter().map(|c| &c["path"]).collect();
    assert!(found.iter().any(|p| *p == "new\nline"), "{found:?}");
    sandbox.commit("x");
    let listed = sandbox.json(&["ls"]);
    let found: Vec<_> = listed.as_array().unwrap().iter().map(|c| &c["path"]).collect();
    for name in odd_files().without(|p| std::str::from_utf8(p).is_err()).0.keys() {
        let name = std::str::from_utf8(name).unwrap();
        assert!(found.iter().any(|p| *p == name), "{name:?} of {found:?}");
    }
}

#[test]
fn the_exec_bit_alone_is_a_change() {
    let sandbox = Sandbox::new();
    sandbox.write("run", "#!/bin/sh\n");
    sandbox.chmod("run", 0o644);
    let first = sandbox.commit("plain");
    sandbox.chmod("run", 0o755);
    assert_eq!(sandbox.json(&["status"])["clean"], false);
    let second = sandbox.commit("executable");
    let executable = sandbox.files();
    sandbox.ok(&["checkout", &first]);
    assert_eq!(sandbox.files().0[b"run".as_slice()], Node::file("#!/bin/sh\n"));
    sandbox.ok(&["checkout", &second]);
    sandbox.files().assert_same(&executable, "the second version");
}

#[test]
fn a_path_that_begins_with_a_dash_is_no_option() {
    let sandbox = Sandbox::new();
    sandbox.write("--force", "1");
    sandbox.write("-q", "1");
    sandbox.commit("dashes");
    sandbox.write("--force", "2");
    sandbox.ok(&["restore", "--", "--force"]);
    assert_eq!(sandbox.read("--force"), b"1");
    sandbox.write("-q", "2");
    sandbox.ok(&["commit", "-m", "one", "--", "-q"]);
    assert_eq!(sandbox.json(&["status"])["clean"], true);
}
