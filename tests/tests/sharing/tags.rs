//! Tags and stages that travel, and those that stand against each other.

use mv_tests::Files;

use super::team::{Team, add, cloned, head, text};

#[test]
fn tags_and_stages_travel_with_their_versions() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    let first = head(ada);
    ada.ok(&["tag", "v1.0.0", "-m", "a release"]);
    ada.ok(&["tag", "plain"]);
    ada.ok(&["stage", "set", "production", "v1.0.0", "-m", "ship it"]);
    add(ada, "ada.py", "ada");
    ada.ok(&["stage", "set", "production", "HEAD", "-m", "and again"]);
    ada.ok(&["push"]);
    bob.ok(&["pull"]);
    for list in [&["tag"][..], &["stage", "list"], &["stage", "history", "production"]] {
        assert_eq!(ada.json(list), bob.json(list), "{list:?}");
    }
    assert_eq!(bob.json(&["show", "v1.0.0"])["id"], first.as_str());
    let fresh = cloned(&team.shared(), &[]);
    for list in [&["tag"][..], &["stage", "list"], &["stage", "history", "production"]] {
        assert_eq!(ada.json(list), fresh.json(list), "{list:?}");
    }
    bob.ok(&["stage", "rollback", "production"]);
    bob.ok(&["push"]);
    ada.ok(&["fetch"]);
    assert_eq!(ada.json(&["show", "production"])["id"], first.as_str());
    assert_eq!(ada.json(&["stage", "history", "production"]).as_array().unwrap().len(), 3);
    team.sound();
}

#[test]
fn a_deleted_release_is_told_and_its_number_stays_used() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    ada.ok(&["tag", "v1.0.0"]);
    ada.ok(&["push"]);
    bob.ok(&["pull"]);
    ada.ok(&["push", "origin", "--delete", "v1.0.0"]);
    let fetched = bob.ok(&["fetch"]);
    assert!(fetched.stderr.contains("v1.0.0"), "{}", fetched.stderr);
    assert_eq!(bob.json(&["tag"]).as_array().unwrap().len(), 1);
    let fresh = cloned(&team.shared(), &[]);
    assert_eq!(fresh.json(&["tag"]).as_array().unwrap().len(), 0);
    fresh.mv(&["tag", "v1.0.0"]).clean_fail(1);
    team.sound();
}

#[test]
fn a_tag_that_is_another_version_on_the_other_side_is_kept_and_told() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    let first = head(ada);
    ada.ok(&["tag", "v1.0.0"]);
    ada.ok(&["push"]);
    let second = add(bob, "bob.py", "bob");
    bob.ok(&["tag", "v1.0.0"]);
    let fetched = bob.ok(&["fetch"]);
    assert!(fetched.stderr.contains("v1.0.0"), "{}", fetched.stderr);
    let warned = bob.json(&["fetch"]);
    assert_eq!(warned["warnings"].as_array().unwrap().len(), 1, "{warned}");
    assert_eq!(bob.json(&["show", "v1.0.0"])["id"], second.as_str());
    let before = Files::read(&team.shared());
    let refused = bob.mv(&["push"]).clean_fail(1);
    assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    assert!(refused.stderr.contains("v1.0.0"), "{}", refused.stderr);
    Files::read(&team.shared()).assert_same(&before, "a refused push");
    // The way that the hint names.
    bob.ok(&["tag", "-d", "v1.0.0"]);
    bob.ok(&["fetch"]);
    assert_eq!(bob.json(&["show", "v1.0.0"])["id"], first.as_str());
    bob.ok(&["tag", "v1.0.1"]);
    bob.ok(&["push"]);
    team.sound();
}

#[test]
fn of_a_stage_that_was_moved_on_both_sides_the_shared_move_counts() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    let first = head(ada);
    ada.ok(&["stage", "set", "production", "HEAD", "-m", "begin"]);
    ada.ok(&["push"]);
    bob.ok(&["pull"]);
    let theirs = add(ada, "ada.py", "ada");
    ada.ok(&["stage", "set", "production", "HEAD", "-m", "ada's"]);
    ada.ok(&["push"]);
    bob.ok(&["stage", "set", "other", &first]);
    bob.ok(&["stage", "unset", "production"]);
    bob.mv(&["push"]).clean_fail(5);
    bob.mv(&["push", "origin", "production"]).clean_fail(5);
    let fetched = bob.ok(&["fetch"]);
    assert!(fetched.stderr.contains("mv stage unset production"), "{}", fetched.stderr);
    assert_eq!(bob.json(&["show", "production"])["id"], theirs.as_str());
    assert!(bob.json(&["fetch"])["warnings"].as_array().unwrap().is_empty());
    bob.ok(&["stage", "unset", "production"]);
    bob.ok(&["pull"]);
    bob.ok(&["push"]);
    ada.ok(&["fetch"]);
    let history = ada.json(&["stage", "history", "production"]);
    assert_eq!(history.as_array().unwrap().len(), 3, "{history}");
    assert_eq!(ada.json(&["show", "other"])["id"], first.as_str());
    team.sound();
}

#[test]
fn a_tag_alone_can_be_pushed_and_brings_its_version() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    ada.ok(&["checkout", "-b", "side"]);
    let side = add(ada, "side.py", "side");
    ada.ok(&["tag", "v0.1.0"]);
    let pushed = ada.json(&["push", "origin", "v0.1.0"]);
    assert_eq!(pushed["refs"].as_array().unwrap().len(), 1, "{pushed}");
    bob.ok(&["fetch"]);
    bob.ok(&["checkout", "v0.1.0"]);
    assert_eq!(head(bob), side);
    bob.mv(&["push", text(&team.shared())]).clean_fail(2);
    team.sound();
}
