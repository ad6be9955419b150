//! A remote that is not what was seen of it before.

use std::fs;

use mv_tests::Sandbox;

use super::team::{Team, add, head, newest_record, share, shared};

#[test]
fn a_remote_that_was_set_back_is_refused_until_somebody_accepts_it() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    let first = head(ada);
    add(ada, "ada.py", "ada");
    ada.ok(&["push"]);
    bob.ok(&["pull"]);
    fs::remove_file(newest_record(&team.shared())).unwrap();
    for command in [["fetch", "origin"], ["pull", "origin"], ["push", "origin"]] {
        for one in [ada, bob] {
            one.mv(&command).clean_fail(3);
        }
    }
    let accepted = bob.json(&["fetch", "--accept-rewind"]);
    assert_eq!(accepted["refs"][0]["to"], first.as_str());
    assert_eq!(bob.read("ada.py"), b"ada", "nothing of the user's moves");
    bob.ok(&["push"]);
    ada.mv(&["fetch"]).clean_fail(3);
    ada.ok(&["fetch", "--accept-rewind"]);
    ada.ok(&["fetch"]);
    team.sound();
}

#[test]
fn a_remote_that_became_another_repository_is_refused() {
    let team = Team::new();
    let other = Sandbox::new();
    other.write("other.py", "other");
    other.commit("other");
    share(&other);
    fs::remove_dir_all(team.shared()).unwrap();
    fs::rename(shared(&other), team.shared()).unwrap();
    for command in ["fetch", "pull", "push"] {
        team.bob.mv(&[command]).clean_fail(3);
    }
    team.bob.ok(&["fetch", "--accept-rewind"]);
    assert_eq!(team.bob.ok(&["cat", "origin/main:other.py"]).stdout, "other");
    team.sound();
}
