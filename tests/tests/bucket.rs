//! The whole program against a bucket and a web server that misbehave on command.

use std::path::PathBuf;
use std::process::Command;

use mv_tests::{FaultyServer, Output, Sandbox, Trick, When};

/// One user of a bucket: a sandbox whose commands know where it is.
struct User<'a> {
    sandbox: Sandbox,
    server: &'a FaultyServer,
}

impl<'a> User<'a> {
    /// A user with a repository of one version.
    fn new(server: &'a FaultyServer) -> User<'a> {
        let user = User { sandbox: Sandbox::new(), server };
        user.sandbox.write("train.py", "print(1)\n");
        user.sandbox.write("models/net.bin", mv_tests::Random::new(1).bytes(200_000));
        user.sandbox.commit("first");
        user
    }

    fn command(&self) -> Command {
        let mut command = self.sandbox.command();
        command.envs(self.server.variables());
        command
    }

    fn mv(&self, args: &[&str]) -> Output {
        self.sandbox.run(self.command().args(args))
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> Output {
        self.mv(args).expect(0)
    }

    /// Adds the bucket as `origin`.
    fn with_remote(self) -> User<'a> {
        self.ok(&["remote", "add", "origin", &self.server.url("team/model")]);
        self
    }

    /// Clones the bucket as somebody else.
    fn clone(&self) -> User<'a> {
        let sandbox = Sandbox::bare();
        let user = User { sandbox, server: self.server };
        user.ok(&["clone", &self.server.url("team/model"), "."]);
        user
    }
}

fn requests(server: &FaultyServer) -> usize {
    server.take_log().len()
}

#[test]
fn the_story_of_two_users_is_the_same_in_a_bucket() {
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["tag", "v1.0.0"]);
    ada.ok(&["stage", "set", "production", "v1.0.0", "-m", "approved"]);
    ada.ok(&["push"]);
    let grace = ada.clone();
    assert_eq!(ada.sandbox.files(), grace.sandbox.files());
    assert!(grace.ok(&["stage", "list"]).stdout.contains("approved"));
    grace.sandbox.write("README.md", "hello\n");
    grace.ok(&["commit", "-m", "readme"]);
    grace.ok(&["push"]);
    ada.sandbox.write("notes.md", "notes\n");
    ada.ok(&["commit", "-m", "notes"]);
    let refused = ada.mv(&["push"]).clean_fail(5);
    assert!(refused.stderr.contains("fetch first"), "{}", refused.stderr);
    ada.ok(&["pull"]);
    ada.ok(&["push"]);
    grace.ok(&["pull"]);
    assert_eq!(ada.sandbox.files(), grace.sandbox.files());
    grace.sandbox.sound();
}

#[test]
fn with_nothing_new_a_push_is_three_requests_at_most_and_a_fetch_two() {
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["push"]);
    drop(server.take_log());
    ada.ok(&["push"]);
    assert!(requests(&server) <= 3);
    ada.ok(&["fetch"]);
    assert!(requests(&server) <= 2);
    let grace = ada.clone();
    drop(server.take_log());
    grace.ok(&["fetch"]);
    assert!(requests(&server) <= 2);
}

#[test]
fn nothing_is_listed_by_a_push_or_a_fetch_that_knows_the_remote() {
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["push"]);
    let grace = ada.clone();
    ada.sandbox.write("more.txt", "more\n");
    ada.ok(&["commit", "-m", "more"]);
    drop(server.take_log());
    ada.ok(&["push"]);
    grace.ok(&["pull"]);
    let log = server.take_log();
    assert!(log.iter().all(|one| !one.path.contains("list-type")), "{log:?}");
    assert!(log.len() <= 16, "{}: {log:#?}", log.len());
}

#[test]
fn a_store_that_ignores_the_condition_is_refused_and_nothing_is_written_to_its_state() {
    let server = FaultyServer::start();
    let ada = User::new(&server);
    server.play(When::each("PUT", ""), Trick::IgnoreCondition);
    let refused = ada.mv(&["remote", "add", "origin", &server.url("team/model")]).clean_fail(4);
    assert!(refused.stderr.contains("does not honour If-None-Match"), "{}", refused.stderr);
    assert!(!server.objects().keys().any(|key| key.contains("state/")));
    assert!(ada.ok(&["remote", "list", "--json"]).stdout.trim() == "[]");
}

#[test]
fn a_record_whose_answer_was_lost_counts() {
    for trick in [Trick::AppliedThen(500), Trick::AppliedThen(503), Trick::AppliedThenDropped] {
        let server = FaultyServer::start();
        let ada = User::new(&server).with_remote();
        ada.ok(&["push"]);
        ada.sandbox.write("more.txt", "more\n");
        let id = ada.sandbox.commit("more");
        server.play(When::first("PUT", "state/"), trick);
        ada.ok(&["push"]);
        server.behave();
        let grace = ada.clone();
        assert!(grace.ok(&["show", "--json"]).stdout.contains(&id));
    }
}

#[test]
fn an_answer_that_the_name_is_taken_by_nobody_is_tried_again() {
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["push"]);
    ada.sandbox.write("more.txt", "more\n");
    ada.sandbox.commit("more");
    server.play(When::first("PUT", "state/"), Trick::Instead(409));
    ada.ok(&["push"]);
}

#[test]
fn denial_silence_and_shouting_are_told_in_one_line_and_carry_no_secret() {
    let secret = "\u{1b}[2J AWS_SECRET_ACCESS_KEY=topsecret\n".repeat(50);
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["push"]);
    for (trick, code) in
        [(Trick::Instead(403), 4), (Trick::Saying(403, secret), 4), (Trick::Instead(501), 4)]
    {
        server.play(When::each("GET", "state/"), trick);
        let failed = ada.mv(&["fetch"]).clean_fail(code);
        assert!(!failed.stderr.contains("topsecret"), "{}", failed.stderr);
        server.behave();
    }
    ada.ok(&["fetch"]);
}

#[test]
fn a_stale_listing_hides_no_version() {
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["push"]);
    ada.sandbox.write("more.txt", "more\n");
    let id = ada.sandbox.commit("more");
    ada.ok(&["push"]);
    server.play(When::each("GET", "list-type"), Trick::Stale(1));
    let grace = ada.clone();
    assert!(grace.ok(&["show", "--json"]).stdout.contains(&id));
}

#[test]
fn credentials_are_kept_nowhere() {
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["push"]);
    let secrets: Vec<String> = server
        .variables()
        .into_iter()
        .filter(|(name, _)| name.contains("KEY"))
        .map(|(_, value)| value)
        .collect();
    assert!(!secrets.is_empty());
    let mut folders: Vec<PathBuf> = vec![ada.sandbox.dot()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for secret in &secrets {
                let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
    let url = format!("s3://{}:{}@bucket/x", secrets[0], secrets[0]);
    let refused = ada.mv(&["remote", "add", "leak", &url]).clean_fail(2);
    assert!(!refused.stderr.contains(&secrets[0]), "{}", refused.stderr);
}

#[test]
fn clones_that_push_at_once_to_a_bucket_lose_nothing() {
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["push"]);
    let users: Vec<User<'_>> = (0..4).map(|_| ada.clone()).collect();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(&users)
            .map(|(n, user)| {
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    for turn in 0..3 {
                        user.sandbox.write(format!("{n}-{turn}.txt"), format!("{n} {turn}\n"));
                        ids.push(user.sandbox.commit(&format!("{n} {turn}")));
                        loop {
                            match user.mv(&["push"]).code {
                                0 => break,
                                5 => user.ok(&["pull"]),
                                other => panic!("push: exit {other}"),
                            };
                        }
                    }
                    ids
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    let last = ada.clone();
    let log = last.ok(&["log", "--json"]).stdout;
    assert!(ids.iter().all(|id| log.contains(id)));
    last.sandbox.sound();
}

#[test]
fn a_published_directory_is_cloned_from_the_web_and_not_written_to() {
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["push"]);
    let reader = Sandbox::bare();
    reader.ok(&["clone", &server.web_url("team/model"), "."]);
    assert_eq!(reader.files(), ada.sandbox.files());
    reader.write("mine.txt", "mine\n");
    reader.commit("mine");
    reader.mv(&["push"]).clean_fail(4);
    ada.sandbox.write("more.txt", "more\n");
    ada.sandbox.commit("more");
    ada.ok(&["push"]);
    reader.ok(&["pull"]);
    assert!(reader.exists("more.txt"));
}

#[test]
fn a_gc_of_a_bucket_frees_what_a_deleted_branch_held() {
    let server = FaultyServer::start();
    let ada = User::new(&server).with_remote();
    ada.ok(&["push"]);
    ada.ok(&["checkout", "-b", "side"]);
    ada.sandbox.write("models/big.bin", mv_tests::Random::new(7).bytes(300_000));
    ada.sandbox.commit("side");
    ada.ok(&["push"]);
    ada.ok(&["checkout", "main"]);
    ada.ok(&["push", "origin", "--delete", "side"]);
    let packs = || server.objects().keys().filter(|key| key.contains("/packs/")).count();
    let before = packs();
    let gc = ["gc", "--remote", "origin", "--grace", "0s", "--keep-last", "0"];
    ada.ok(&gc);
    assert_eq!(packs(), before, "a plan deletes nothing");
    ada.ok(&[&gc[..], &["--apply"]].concat());
    assert!(packs() < before);
    ada.clone().sandbox.sound();
}
