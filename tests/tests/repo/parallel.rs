//! Several at once, killed at any time, and with few open files.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use mv_tests::{Random, Sandbox};

#[test]
fn ten_commits_at_once_are_serialised_or_told_to_try_again() {
    let sandbox = Sandbox::new();
    sandbox.commit("base");
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let run = |n: usize| {
            let sandbox = &sandbox;
            scope.spawn(move || {
                sandbox.write(format!("{n}.txt"), format!("{n}"));
                sandbox.mv(&["commit", "--allow-empty", "-m", &format!("commit {n}")])
            })
        };
        let running: Vec<_> = (0..10).map(run).collect();
        running.into_iter().map(|r| r.join().unwrap()).collect()
    });
    let mut done = 0;
    for output in &outputs {
        match output.code {
            0 => done += 1,
            5 => drop(output.clone().clean_fail(5)),
            code => panic!("{code}: {}", output.stderr),
        }
    }
    assert!(done > 0);
    let log = sandbox.json(&["log"]);
    let log = log.as_array().unwrap();
    assert_eq!(log.len(), done + 1);
    for (at, version) in log.iter().enumerate() {
        let parents = version["parents"].as_array().unwrap();
        assert!(parents.len() <= 1);
        assert_eq!(parents.first(), log.get(at + 1).map(|older| &older["id"]));
    }
    sandbox.sound();
}

#[test]
fn a_command_that_waits_for_another_says_so_and_can_be_stopped() {
    let sandbox = Sandbox::new();
    let lock = sandbox.dot().join("worktree/lock");
    let held = mv_store::fs::Lock::try_now(&lock).unwrap().unwrap();
    let wait = || {
        let mut command = sandbox.command();
        command.args(["commit", "--allow-empty", "-m", "x"]).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert_eq!(line, "waiting for another mver\n");
        (child, stderr)
    };
    let (mut stopped, mut stderr) = wait();
    let pid = rustix::process::Pid::from_child(&stopped);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(stopped.wait().unwrap().code(), Some(130), "{rest}");
    let (mut patient, _stderr) = wait();
    drop(held);
    assert!(patient.wait().unwrap().success());
    assert_eq!(sandbox.json(&["log"]).as_array().unwrap().len(), 1);
}

/// Kills commits at arbitrary moments; after each everything acknowledged is there and the next
/// commit works.
fn kill_commits(times: u64) {
    let sandbox = Sandbox::new();
    sandbox.commit("base");
    let mut random = Random::new(1);
    let mut killed = 0;
    for n in 0..times {
        sandbox.write(format!("{}.bin", n % 4), random.bytes(100_000));
        let before = sandbox.json(&["status"])["head"].clone();
        let message = format!("killed {n}");
        let mut child = sandbox.command();
        child.args(["commit", "-m", &message]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        // A wait that no clock measures: how far the child gets is up to the scheduler.
        for _ in 0..random.below(6000) {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        let status = child.wait().unwrap();
        killed += usize::from(!status.success());
        let head = sandbox.json(&["status"])["head"].clone();
        if status.success() {
            assert_ne!(head, before, "an acknowledged commit is lost");
        }
        if head != before {
            assert_eq!(sandbox.json(&["log", "-n", "1"])[0]["message"], message);
        }
        sandbox.sound();
        sandbox.ok(&["commit", "--allow-empty", "-m", "after"]);
    }
    assert_eq!(sandbox.json(&["status"])["clean"], true);
    assert!(times < 100 || killed > 10, "{killed}");
}

#[test]
fn a_commit_that_is_killed_leaves_the_old_state_or_the_new() {
    kill_commits(20);
}

#[test]
#[ignore = "five hundred kills: some minutes"]
fn five_hundred_killed_commits_leave_the_old_state_or_the_new() {
    kill_commits(500);
}

fn few_descriptors(files: usize, commits: usize) {
    let sandbox = Sandbox::new();
    let limited = |args: &[&str]| {
        let mut command = sandbox.command_for(Path::new("/bin/sh"));
        command.args(["-c", "ulimit -n 64; exec mver \"$@\"", "sh"]).args(args);
        sandbox.run(&mut command)
    };
    for n in 0..files {
        sandbox.write(format!("data/{}/{n}.txt", n % 50), format!("{n}"));
    }
    limited(&["commit", "-m", "many"]).expect(0);
    for n in 0..commits {
        sandbox.write("train.py", format!("{n}"));
        sandbox.write(format!("data/{n}.bin"), Random::new(n as u64).bytes(2000));
        limited(&["commit", "-m", "one more"]).expect(0);
    }
    let before = sandbox.files();
    limited(&["fsck", "--full"]).expect(0);
    sandbox.remove("data");
    limited(&["checkout", "--force", "HEAD"]).expect(0);
    sandbox.files().assert_same(&before, "with 64 descriptors");
    limited(&["checkout", &format!("HEAD~{commits}")]).expect(0);
    limited(&["status"]).expect(0);
}

#[test]
fn sixty_four_descriptors_are_enough() {
    few_descriptors(1000, 12);
}

#[test]
#[ignore = "five thousand files and forty packs: half a minute"]
fn sixty_four_descriptors_are_enough_for_five_thousand_files_in_forty_packs() {
    few_descriptors(5000, 40);
}

/// Runs as root on Linux with a mounted tmpfs; see `tests/scripts/full-disk.sh`.
#[test]
#[ignore = "needs a tmpfs of 2 MiB, which MV_SMALL_DISK names"]
fn a_full_disk_fails_cleanly_and_room_makes_it_work_again() {
    let disk = std::env::var_os("MV_SMALL_DISK").expect("MV_SMALL_DISK names a small tmpfs");
    let small = Sandbox::bare_in(Path::new(&disk));
    small.ok(&["init"]);
    small.write("small.txt", "small");
    let first = small.commit("first");
    small.write("big.bin", Random::new(1).bytes(1_200_000));
    let output = small.mv(&["commit", "-m", "too much"]).clean_fail(6);
    assert!(output.stderr.contains(".mv"), "{}", output.stderr);
    assert_eq!(small.json(&["status"])["head"], first.as_str());
    small.sound();
    small.remove("big.bin");
    small.write("less.bin", Random::new(2).bytes(100_000));
    small.commit("fits");
    small.sound();
}
