//! gc: what it keeps, that its plan is what it does, and its two phases.

use mv_tests::{Random, Sandbox, damage};
use serde_json::Value;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A branch `main` with two versions, and a third on `side`, all long ago by the sandbox's clock.
fn story() -> (Sandbox, [String; 3]) {
    let sandbox = Sandbox::new();
    sandbox.write("a.bin", Random::new(1).bytes(200_000));
    let first = sandbox.commit("first");
    sandbox.ok(&["checkout", "-b", "side"]);
    sandbox.write("side.bin", Random::new(2).bytes(200_000));
    let side = sandbox.commit("side");
    sandbox.ok(&["checkout", "main"]);
    sandbox.write("b.bin", Random::new(3).bytes(200_000));
    let second = sandbox.commit("second");
    (sandbox, [first, second, side])
}

/// Beyond the true time at which the files were written, which their age is taken from.
fn later(sandbox: &Sandbox) {
    sandbox.advance(50 * 365 * DAY);
}

fn packs(sandbox: &Sandbox) -> usize {
    damage::packs(&sandbox.dot()).len()
}

/// The plan without what only an apply knows.
fn planned(mut document: Value) -> Value {
    for key in ["applied", "freed_bytes", "condemned_packs", "records_pruned"] {
        document.as_object_mut().unwrap().remove(key);
    }
    document
}

#[test]
fn without_apply_nothing_is_deleted() {
    let (sandbox, _) = story();
    sandbox.ok(&["branch", "-d", "side"]);
    later(&sandbox);
    let before = damage::files_below(&sandbox.dot().join("packs"));
    sandbox.ok(&["gc", "--keep-last", "1"]);
    assert_eq!(damage::files_below(&sandbox.dot().join("packs")), before);
}

#[test]
fn right_after_a_branch_is_deleted_gc_keeps_it_for_undo() {
    let (sandbox, [_, _, side]) = story();
    sandbox.ok(&["branch", "-d", "side"]);
    sandbox.ok(&["gc", "--apply", "--grace", "0d"]);
    sandbox.sound();
    sandbox.ok(&["undo"]);
    sandbox.ok(&["checkout", "side"]);
    assert_eq!(sandbox.json(&["status"])["head"], side.as_str());
    sandbox.sound();
}

#[test]
fn within_the_grace_of_a_pack_even_the_unreachable_is_kept() {
    let (sandbox, _) = story();
    sandbox.ok(&["branch", "-d", "side"]);
    let plan = sandbox.json(&["gc", "--keep-last", "1"]);
    assert_eq!(plan["drop_packs"], serde_json::json!([]), "{plan}");
    assert_eq!(plan["rewrite_packs"], serde_json::json!([]), "{plan}");
}

#[test]
fn the_plan_is_what_apply_does_and_the_rest_stays_whole() {
    let (sandbox, [first, second, side]) = story();
    sandbox.ok(&["branch", "-d", "side"]);
    later(&sandbox);
    let plan = sandbox.json(&["gc", "--keep-last", "1"]);
    let dropped: Vec<_> = plan["drop_versions"].as_array().unwrap().iter().collect();
    assert_eq!(dropped.len(), 1, "{plan}");
    assert_eq!(dropped[0]["id"], side.as_str());
    assert!(plan["paths"].to_string().contains("side.bin"), "{plan}");
    assert!(!plan["paths"].to_string().contains("a.bin"), "{plan}");
    let files = packs(&sandbox);
    let applied = sandbox.json(&["gc", "--keep-last", "1", "--apply"]);
    assert_eq!(planned(applied), planned(plan.clone()));
    // Condemned: nobody may rely on it any more, but whoever reads it now still can.
    assert!(packs(&sandbox) >= files, "a pack went without notice");
    sandbox.sound();
    // After the readers' grace it is deleted, and then forgotten.
    sandbox.advance(2 * HOUR);
    let plan = sandbox.json(&["gc", "--keep-last", "1"]);
    assert_ne!(plan["expired_packs"], serde_json::json!([]), "{plan}");
    let applied = sandbox.json(&["gc", "--keep-last", "1", "--apply"]);
    assert_eq!(planned(applied), planned(plan));
    assert!(packs(&sandbox) <= files, "nothing was deleted");
    sandbox.sound();
    sandbox.advance(2 * HOUR);
    sandbox.ok(&["gc", "--keep-last", "1", "--apply"]);
    sandbox.sound();
    for id in [&first, &second] {
        sandbox.ok(&["checkout", id]);
    }
    sandbox.ok(&["checkout", "main"]);
    assert_eq!(sandbox.mv(&["checkout", &side]).code, 2);
    // What was undone-able to a version that is gone says so cleanly.
    let output = sandbox.mv(&["undo"]);
    output.printable();
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn the_plan_tells_which_records_go_and_where_undo_ends() {
    let (sandbox, _) = story();
    let keep = ["gc", "--keep-last", "2", "--keep-within", "0s"];
    let reflog = || sandbox.json(&["reflog"]).as_array().unwrap().clone();
    let (before, plan) = (reflog(), sandbox.json(&keep));
    let gone = plan["drop_records"].as_array().unwrap();
    assert_eq!(gone.len() + 2, before.len(), "{plan}");
    let told = sandbox.ok(&keep);
    let line = format!(
        "forget {} records of the reflog; undo goes no further back than `checkout main`\n",
        gone.len()
    );
    assert!(told.stdout.contains(&line), "{}", told.stdout);
    assert!(told.stderr.contains("gc --apply"), "{}", told.stderr);
    let applied = sandbox.json(&[&keep[..], &["--apply"]].concat());
    assert_eq!(planned(applied.clone()), planned(plan.clone()));
    assert_eq!(applied["records_pruned"], gone.len());
    assert_eq!(reflog(), before[..2]);
    sandbox.ok(&["undo"]);
    sandbox.sound();
}

#[test]
fn a_version_that_stays_in_its_pack_is_not_told_to_go() {
    let sandbox = Sandbox::new();
    sandbox.write("0.bin", Random::new(0).bytes(100_000));
    sandbox.commit("base");
    sandbox.ok(&["checkout", "-b", "side"]);
    sandbox.write("side.bin", Random::new(9).bytes(5000));
    sandbox.commit("side");
    sandbox.ok(&["checkout", "main"]);
    sandbox.ok(&["branch", "-d", "side"]);
    for n in 1..8 {
        sandbox.write(format!("{n}.bin"), Random::new(n).bytes(100_000));
        sandbox.commit("more");
    }
    // All of them share a pack by now, most of which is in use.
    sandbox.ok(&["repack", "--gather"]);
    later(&sandbox);
    let plan = sandbox.json(&["gc", "--keep-last", "1"]);
    assert_eq!(plan["rewrite_packs"], serde_json::json!([]), "{plan}");
    for key in ["drop_versions", "paths"] {
        assert_eq!(plan[key], serde_json::json!([]), "{plan}");
    }
}

#[test]
fn packs_that_were_replaced_are_told_of_until_they_are_gone() {
    let (sandbox, _) = story();
    let on_disk = || {
        let files = damage::packs(&sandbox.dot()).into_iter();
        files.map(|file| file.metadata().unwrap().len()).sum::<u64>()
    };
    let told = sandbox.ok(&["repack"]);
    assert!(told.stderr.contains("of replaced packs go with `mver gc --apply`"), "{}", told.stderr);
    let bytes = |value: &Value| value.as_u64().unwrap();
    let du = sandbox.json(&["du"]);
    assert!(bytes(&du["retired_bytes"]) > 0, "{du}");
    assert_eq!(bytes(&du["stored_bytes"]) + bytes(&du["retired_bytes"]), on_disk());
    let plan = sandbox.json(&["gc"]);
    assert_eq!(plan["retired_bytes"], du["retired_bytes"], "{plan}");
    assert!(sandbox.ok(&["gc"]).stdout.contains("retired less than an hour ago"));
    assert!(sandbox.ok(&["du"]).stdout.contains("more in packs that were replaced"));
    sandbox.advance(2 * HOUR);
    let plan = sandbox.json(&["gc", "--apply"]);
    assert_eq!((bytes(&plan["retired_bytes"]), &plan["free_bytes"]), (0, &du["retired_bytes"]));
    let du = sandbox.json(&["du"]);
    assert_eq!((bytes(&du["stored_bytes"]), bytes(&du["retired_bytes"])), (on_disk(), 0));
}

#[test]
fn what_an_amend_replaced_goes_when_nothing_reaches_it() {
    let (sandbox, [_, second, _]) = story();
    sandbox.write("c.bin", Random::new(4).bytes(100_000));
    sandbox.ok(&["commit", "--amend", "-m", "instead"]);
    sandbox.ok(&["gc", "--apply", "--grace", "0d"]);
    sandbox.ok(&["undo"]);
    assert_eq!(sandbox.json(&["status"])["head"], second.as_str());
    sandbox.ok(&["redo"]);
    later(&sandbox);
    sandbox.ok(&["gc", "--keep-last", "1", "--apply"]);
    sandbox.advance(2 * HOUR);
    sandbox.ok(&["gc", "--keep-last", "1", "--apply"]);
    sandbox.sound();
    assert!(sandbox.json(&["status"])["clean"].as_bool().unwrap());
}

#[test]
fn tagged_versions_are_kept_for_ever() {
    let (sandbox, [_, _, side]) = story();
    sandbox.ok(&["tag", "v1.0.0", "side"]);
    sandbox.ok(&["branch", "-d", "side"]);
    for _ in 0..3 {
        later(&sandbox);
        sandbox.ok(&["gc", "--keep-last", "1", "--apply", "--grace", "0d"]);
    }
    sandbox.ok(&["checkout", "v1.0.0"]);
    assert_eq!(sandbox.json(&["status"])["head"], side.as_str());
    sandbox.sound();
}

#[test]
fn a_pack_that_no_record_names_is_swept_after_its_grace_only() {
    let (sandbox, _) = story();
    let packs = damage::packs(&sandbox.dot());
    let bytes = mv_tests::forge::pack(&[], [7; 16]);
    let id = mv_store::PackId(mv_store::id_of(mv_store::Kind::Blob, &bytes));
    let orphan = sandbox.dot().join(id.file_name());
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, bytes).unwrap();
    sandbox.ok(&["gc", "--apply"]);
    assert!(orphan.exists());
    later(&sandbox);
    sandbox.ok(&["gc", "--apply"]);
    sandbox.advance(2 * HOUR);
    sandbox.ok(&["gc", "--apply"]);
    assert!(!orphan.exists());
    assert!(packs.iter().all(|p| p.exists()));
    sandbox.sound();
}
