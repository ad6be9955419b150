//! Remotes whose files are not what they should be: symlinks, fifos, cut and missing packs, forks,
//! names of refs, escape sequences.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use mv_store::{Hash, Kind, PackId, id_of};
use mv_tests::forge::{self, Block, Entry};
use mv_tests::forged::{Refs, Remote, Version};
use mv_tests::{Files, damage};

use super::hostile::{no_clone, no_pull, refused, victim};
use super::team::{Team, add, cloned, newest_record, published, shared, text};

fn fifo(path: &Path) {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
}

/// Puts something else in a file's place; where the file was moved is left beside the remote.
fn replace(remote: &Remote, file: &Path, with: &str) {
    let aside = remote.dir.parent().unwrap().join("x").join("aside");
    fs::rename(file, &aside).unwrap();
    match with {
        "a symlink" => symlink(&aside, file).unwrap(),
        "a dangling symlink" => symlink("/nonexistent/place", file).unwrap(),
        "a fifo" => fifo(file),
        _ => fs::create_dir(file).unwrap(),
    }
}

#[test]
fn files_of_a_remote_that_are_no_files_are_refused() {
    for with in ["a symlink", "a dangling symlink", "a fifo", "a directory"] {
        no_clone(&format!("format is {with}"), 3, &|remote| {
            remote.honest();
            replace(remote, &remote.dir.join("format"), with);
        });
        refused(&format!("the newest record is {with}"), &|remote| {
            remote.honest();
            replace(remote, &newest_record(&remote.dir), with);
        });
        refused(&format!("a pack is {with}"), &|remote| {
            let before = remote.packs.clone();
            names_one(remote, b"new");
            let new = remote.packs.iter().find(|pack| !before.contains(pack)).unwrap();
            replace(remote, &remote.dir.join(new.file_name()), with);
        });
    }
    // The note of the newest record is advice: nothing hangs on it.
    let sandbox = victim();
    let mut remote = Remote::new(&shared(&sandbox));
    remote.honest();
    fifo(&remote.dir.join("newest"));
    sandbox.ok(&["clone", text(&remote.dir), "."]);
}

/// A version with one more file.
fn names_one(remote: &mut Remote, name: &[u8]) {
    let blob = Block::raw(Kind::Blob, name);
    let entry = Entry::file(name, blob.objects[0].0, name.len() as u64);
    remote.entries(vec![blob], &[entry]);
}

#[test]
fn folders_of_a_remote_that_are_symlinks_are_refused_and_nothing_lands_behind_them() {
    for name in ["packs", "state", "tmp"] {
        let team = Team::new();
        let (bob, place) = (&team.bob, team.shared());
        let outside = bob.outside().join("elsewhere");
        fs::create_dir(&outside).unwrap();
        let inside = place.join(name);
        if inside.exists() {
            // All that was there is there still, by another way.
            fs::remove_dir(&outside).unwrap();
            fs::rename(&inside, &outside).unwrap();
        }
        symlink(&outside, &inside).unwrap();
        let before = (Files::read(&outside), fs::metadata(&outside).unwrap().modified().unwrap());
        add(bob, "bob.py", "bob");
        let pushed = bob.mv(&["push"]);
        assert!([3, 4].contains(&pushed.code), "{name}: {} {}", pushed.code, pushed.stderr);
        pushed.printable();
        Files::read(&outside).assert_same(&before.0, name);
        let modified = fs::metadata(&outside).unwrap().modified().unwrap();
        assert_eq!(modified, before.1, "{name}: something was written behind the symlink");
        if name != "tmp" {
            let fresh = victim();
            let output = fresh.mv(&["clone", text(&place), "."]).expect(3);
            output.printable();
            assert_eq!(published(&fresh.dot()), Vec::<Vec<u8>>::new());
        }
    }
}

#[test]
fn a_new_remote_is_not_made_through_a_symlink() {
    let sandbox = victim();
    let outside = sandbox.outside().join("x");
    fs::create_dir(shared(&sandbox)).unwrap();
    for name in ["packs", "state", "tmp"] {
        symlink(&outside, shared(&sandbox).join(name)).unwrap();
    }
    sandbox.ok(&["init"]);
    add(&sandbox, "a.py", "a");
    let added = sandbox.mv(&["remote", "add", "origin", text(&shared(&sandbox))]);
    added.printable();
    if added.code == 0 {
        let pushed = sandbox.mv(&["push"]);
        assert!([3, 4].contains(&pushed.code), "{}", pushed.stderr);
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn packs_that_are_cut_misnamed_or_gone_are_refused() {
    let evil = |change: &dyn Fn(&Remote, &Path)| {
        let change = move |remote: &mut Remote| {
            let before = remote.packs.clone();
            names_one(remote, b"new");
            let new = *remote.packs.iter().find(|pack| !before.contains(pack)).unwrap();
            change(remote, &remote.dir.join(new.file_name()));
        };
        no_clone("a pack", 3, &change);
        no_pull("a pack", 3, &change);
    };
    for cut in [0, 1, 23, 24, 63, 64, 65, 100] {
        evil(&|_, pack| damage::truncate(pack, cut));
        evil(&|_, pack| damage::truncate(pack, fs::read(pack).unwrap().len() - 1 - cut));
    }
    evil(&|_, pack| damage::append(pack, b"x"));
    evil(&|_, pack| fs::remove_file(pack).unwrap());
    evil(&|_, pack| damage::flip(pack, 26, 3));
    evil(&|_, pack| damage::flip(pack, 5, 3));
    evil(&|_, pack| damage::flip(pack, fs::read(pack).unwrap().len() - 3, 3));
    refused("another pack's name", &|remote| {
        let blob = Block::raw(Kind::Blob, b"new");
        let root = forge::tree(&[Entry::file("new", blob.objects[0].0, 3)]);
        let tree = Block::raw(Kind::Tree, &root);
        let manifest = Version::of(tree.objects[0].0, 1, 3).ink().bytes;
        let target = id_of(Kind::Manifest, &manifest);
        let empty = Block::raw(Kind::Tree, &forge::tree(&[]));
        let bytes =
            forge::pack(&[blob, tree, empty, Block::raw(Kind::Manifest, &manifest)], [3; 16]);
        remote.pack_as(PackId(Hash([0xab; 32])), &bytes);
        remote.record(&Refs::main(target));
    });
}

#[test]
fn formats_that_are_not_known_are_refused_by_name() {
    let team = Team::new();
    let bytes = fs::read(team.shared().join("format")).unwrap();
    let id = String::from_utf8(bytes).unwrap();
    let id = id.lines().nth(2).unwrap();
    for (version, features, word) in [
        (1, "feature chunk=gear64-v1/32k/128k/512k\nfeature warp=9\n", "warp"),
        (1, "feature chunk=other\n", "chunk"),
        (2, "feature chunk=gear64-v1/32k/128k/512k\n", "version 2"),
        (4_000_000_000u32, "", "4000000000"),
    ] {
        let head = format!("mv repository\nversion {version}\n{id}\n{features}");
        let check = id_of(Kind::Blob, head.as_bytes());
        let whole = format!("{head}check {check}\n");
        damage::overwrite(&team.shared().join("format"), whole.as_bytes());
        let fresh = victim();
        let output = fresh.mv(&["clone", text(&team.shared()), "."]).clean_fail(3);
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
        assert_eq!(published(&fresh.dot()), Vec::<Vec<u8>>::new());
        fresh.ok(&["init"]);
        let output = fresh.mv(&["remote", "add", "origin", text(&team.shared())]).clean_fail(3);
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
    for rubbish in ["", "mv repository\n", "\u{1b}[31m", &"x".repeat(70_000)] {
        damage::overwrite(&team.shared().join("format"), rubbish.as_bytes());
        let fresh = victim();
        fresh.mv(&["clone", text(&team.shared()), "."]).clean_fail(3);
        assert_eq!(published(&fresh.dot()), Vec::<Vec<u8>>::new());
    }
}

#[test]
fn chains_that_fork_or_do_not_join_are_refused() {
    no_pull("another record of the number that was seen", 3, &|remote| {
        remote.generation -= 1;
        names_one(remote, b"fork");
    });
    no_pull("one that does not follow", 3, &|remote| {
        remote.previous = Hash([1; 32]);
        names_one(remote, b"fork");
    });
    no_pull("one of another repository", 3, &|remote| {
        remote.repository = [0x99; 16];
        names_one(remote, b"other");
    });
    refused("a number that is not the file's", &|remote| {
        remote.honest();
        let path = newest_record(&remote.dir);
        fs::copy(path, remote.next_path()).unwrap();
    });
    refused("a broken seal", &|remote| {
        names_one(remote, b"new");
        damage::flip(&newest_record(&remote.dir), 100, 1);
    });
    refused("an empty record", &|remote| fs::write(remote.next_path(), "").unwrap());
    refused("bytes behind the end", &|remote| {
        let version = remote.honest();
        let mut body = remote.ink(&Refs::main(version)).bytes;
        body.push(0);
        remote.publish(&body);
    });
    refused("a record beyond its limit", &|remote| {
        let file = fs::File::create(remote.next_path()).unwrap();
        file.set_len((16 << 20) + 1).unwrap();
    });
}

/// Commit 1 has a symlink to a directory outside, commit 2 a directory of that name.
#[test]
fn a_symlink_that_becomes_a_directory_by_a_pull_never_leads_outside() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    let outside = bob.outside().join("sentinel");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), "do not touch").unwrap();
    ada.symlink("d", &outside);
    ada.commit("symlink");
    ada.ok(&["push"]);
    bob.ok(&["pull"]);
    assert!(bob.root().join("d").symlink_metadata().unwrap().is_symlink());
    ada.remove("d");
    ada.write("d/f", "inside");
    ada.write("d/sub/g", "inside");
    ada.commit("directory");
    ada.ok(&["push"]);
    bob.ok(&["pull"]);
    assert!(bob.root().join("d").symlink_metadata().unwrap().is_dir());
    for back in ["HEAD~1", "main", "HEAD~1", "main"] {
        bob.ok(&["checkout", back]);
    }
    assert_eq!(fs::read(outside.join("f")).unwrap(), b"do not touch");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    cloned(&team.shared(), &[]).files().assert_same(&bob.files(), "the clone");
}
