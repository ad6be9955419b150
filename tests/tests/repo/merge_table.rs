//! Every combination of what the base, ours, theirs and the working tree may have under one name:
//! a merge gives what a small model says, or the conflicts that it says, or is refused.

use std::collections::{BTreeMap, BTreeSet};

use mv_repo::Error;
use mv_repo::merge::{Favor, MergeOptions, MergeOutcome, abort, merge};
use mv_tests::{Files, Node};

use super::checkout_table::expected;
use super::lab::Lab;

/// What may stand at `f` of one combination; contents are its own, so that nothing in it is taken
/// for a renamed file of another.
fn value(combination: &str, which: usize) -> Files {
    let text = |name: &str| format!("{name} of {combination}\n");
    let at = |name: &str| format!("{combination}/{name}").into_bytes();
    let single = |node| Files([(at("f"), node)].into());
    match which {
        0 => Files::default(),
        1 => single(Node::file(text("a"))),
        2 => single(Node::file(text("b"))),
        3 => single(Node::file(text("c"))),
        4 => single(Node::File { bytes: text("a").into_bytes(), exec: true }),
        5 => single(Node::Symlink(text("a").trim().into())),
        6 => single(Node::EmptyDir),
        7 => Files([(at("f/x"), Node::file(text("x")))].into()),
        _ => Files([(at("f/x"), Node::file(text("y"))), (at("f/z"), Node::file(text("z")))].into()),
    }
}

const VALUES: usize = 9;

/// The merged files of one combination, and the paths that are conflicts.
fn model(base: &Files, ours: &Files, theirs: &Files, favor: Favor) -> (Files, BTreeSet<Vec<u8>>) {
    let names: BTreeSet<_> =
        base.0.keys().chain(ours.0.keys()).chain(theirs.0.keys()).cloned().collect();
    let mut merged = Files::default();
    let mut conflicts = BTreeSet::new();
    for name in names {
        let (b, o, t) = (base.0.get(&name), ours.0.get(&name), theirs.0.get(&name));
        // Empty here and filled there: a directory in both.
        let agreed = |dir: Option<&Node>, other: &Files| {
            dir == Some(&Node::EmptyDir) && other.0.keys().any(|path| below(path, &name))
        };
        if (agreed(o, theirs) && t.is_none()) || (agreed(t, ours) && o.is_none()) {
            merged.0.insert(name, Node::EmptyDir);
            continue;
        }
        let (node, conflict) = one([b, o, t], favor);
        if let Some(node) = node {
            merged.0.insert(name.clone(), node);
        }
        if conflict {
            conflicts.insert(name);
        }
    }
    let all: Vec<_> = merged.0.keys().cloned().collect();
    for dir in &all {
        if !all.iter().any(|name| below(name, dir)) {
            continue;
        }
        if merged.0.get(dir) == Some(&Node::EmptyDir) {
            merged.0.remove(dir);
            continue;
        }
        let kept = if favor == Favor::Theirs { theirs } else { ours };
        match kept.0.get(dir) {
            None | Some(Node::EmptyDir) => drop(merged.0.remove(dir)),
            Some(_) => merged.0.retain(|name, _| !below(name, dir)),
        }
        conflicts.retain(|name| !below(name, dir));
        conflicts.insert(dir.clone());
    }
    if favor != Favor::Neither {
        conflicts.clear();
    }
    (merged, conflicts)
}

fn below(name: &[u8], dir: &[u8]) -> bool {
    name.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"))
}

fn one(three: [Option<&Node>; 3], favor: Favor) -> (Option<Node>, bool) {
    let [base, ours, theirs] = three;
    if ours == theirs || theirs == base {
        return (ours.cloned(), false);
    }
    if ours == base {
        return (theirs.cloned(), false);
    }
    let side = |there: Option<&Node>| match favor {
        Favor::Neither => there.cloned(),
        Favor::Ours => ours.cloned(),
        Favor::Theirs => theirs.cloned(),
    };
    match (base, ours, theirs) {
        (_, None, theirs) => (side(theirs), true),
        (
            base,
            Some(Node::File { bytes: o, exec: oe }),
            Some(Node::File { bytes: t, exec: te }),
        ) => {
            let old = match base {
                Some(Node::File { bytes, exec }) => Some((bytes, exec)),
                _ => None,
            };
            let exec = match old {
                Some((_, exec)) => *if exec == oe { te } else { oe },
                None => *if favor == Favor::Theirs { te } else { oe },
            };
            let file = |bytes: &Vec<u8>| Some(Node::File { bytes: bytes.clone(), exec });
            match (old, favor) {
                _ if o == t => (file(o), old.is_none()),
                (Some((old, _)), _) if old == o => (file(t), false),
                (Some((old, _)), _) if old == t => (file(o), false),
                (_, Favor::Ours) => (file(o), true),
                (_, Favor::Theirs) => (file(t), true),
                (_, Favor::Neither) => {
                    let text =
                        [b"<<<<<<< main\n", &o[..], b"=======\n", t, b">>>>>>> theirs\n"].concat();
                    (file(&text), true)
                }
            }
        }
        (_, ours, _) => (side(ours), true),
    }
}

/// All combinations of three, by name.
fn combinations() -> BTreeMap<String, [Files; 3]> {
    let mut all = BTreeMap::new();
    for at in 0..VALUES.pow(3) {
        let (b, o, t) = (at / VALUES / VALUES, at / VALUES % VALUES, at % VALUES);
        let name = format!("c{b}{o}{t}");
        all.insert(name.clone(), [b, o, t].map(|which| value(&name, which)));
    }
    all
}

fn together<'a>(parts: impl IntoIterator<Item = &'a Files>) -> Files {
    Files(parts.into_iter().flat_map(|files| files.0.clone()).collect())
}

/// `main` has ours, HEAD is on it; `theirs` has theirs.
fn repository(chosen: &BTreeMap<String, [Files; 3]>) -> Lab {
    let of = |which: usize| together(chosen.values().map(|three| &three[which]));
    let mut lab = Lab::empty();
    lab.set_files(&of(0));
    lab.commit("base");
    lab.checkout_new("theirs").unwrap();
    lab.set_files(&of(2));
    lab.commit("theirs");
    lab.checkout("main", false).unwrap();
    lab.set_files(&of(1));
    lab.commit("ours");
    lab
}

fn run(lab: &mut Lab, favor: Favor) -> Result<MergeOutcome, Error> {
    let (repo, session) = lab.open();
    let options = MergeOptions { rev: "theirs".into(), favor, ..MergeOptions::default() };
    merge(&repo, &options, &session)
}

#[test]
fn a_merge_does_what_the_truth_table_says_and_abort_goes_back_exactly() {
    let all = combinations();
    let mut lab = repository(&all);
    let mut after = Files::default();
    let mut conflicts = BTreeSet::new();
    for [base, ours, theirs] in all.values() {
        let (merged, undecided) = model(base, ours, theirs, Favor::Neither);
        after.0.extend(merged.0);
        conflicts.extend(undecided);
    }
    assert!(conflicts.len() > 200, "{}", conflicts.len());
    let before = lab.files();
    let done = run(&mut lab, Favor::Neither).unwrap();
    let found: BTreeSet<_> = done.conflicts.iter().map(|c| c.path.as_bytes().to_vec()).collect();
    let differing: Vec<_> = found
        .symmetric_difference(&conflicts)
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    assert!(differing.is_empty(), "{differing:?}");
    after.assert_same(&lab.files(), "after the merge");
    lab.sound();
    let (repo, session) = lab.open();
    assert!(abort(&repo, &session).unwrap().failed.is_empty());
    before.assert_same(&lab.files(), "after going back");
    let (repo, session) = lab.open();
    let status = mv_repo::status::status(&repo, &Default::default(), &session).unwrap();
    assert!(status.changes.is_empty() && status.unfinished.is_none(), "{status:?}");
}

#[test]
fn favouring_a_side_decides_every_conflict_for_it() {
    for favor in [Favor::Ours, Favor::Theirs] {
        let all = combinations();
        let mut lab = repository(&all);
        let mut after = Files::default();
        for [base, ours, theirs] in all.values() {
            after.0.extend(model(base, ours, theirs, favor).0.0);
        }
        let done = run(&mut lab, favor).unwrap();
        assert!(done.conflicts.is_empty() && done.id.is_some());
        after.assert_same(&lab.files(), &format!("{favor:?}"));
        lab.sound();
    }
}

#[test]
fn uncommitted_work_stays_or_the_merge_is_refused_as_the_table_says() {
    let mut chosen = combinations();
    chosen.retain(|_, [b, o, t]| model(b, o, t, Favor::Neither).1.is_empty());
    let clean = repository(&chosen);
    let mut refused = 0;
    for which in 0..VALUES {
        let mut kept: [BTreeMap<&String, (Files, Files)>; 2] = Default::default();
        for (name, [base, ours, theirs]) in &chosen {
            let merged = model(base, ours, theirs, Favor::Neither).0;
            let work = value(name, which);
            match expected(ours, &merged, &work) {
                Some(after) => drop(kept[0].insert(name, (work, after))),
                None => drop(kept[1].insert(name, (work.clone(), work))),
            }
        }
        for (refuse, group) in kept.iter().enumerate() {
            if group.is_empty() {
                continue;
            }
            let mut lab = Lab { sandbox: clean.sandbox.duplicate(), clock: clean.clock.clone() };
            let rest = chosen.iter().filter(|(name, _)| !group.contains_key(name));
            let rest: Vec<_> =
                rest.map(|(_, [b, o, t])| (o, model(b, o, t, Favor::Neither).0)).collect();
            let untouched = together(rest.iter().map(|(ours, _)| *ours));
            let work = together(group.values().map(|(work, _)| work).chain([&untouched]));
            lab.set_files(&work);
            let what = format!("work {which}");
            match (refuse, run(&mut lab, Favor::Neither)) {
                (0, Ok(done)) => {
                    assert!(done.conflicts.is_empty(), "{what}");
                    let others = rest.iter().map(|(_, merged)| merged);
                    let after = together(group.values().map(|(_, after)| after).chain(others));
                    after.assert_same(&lab.files(), &what);
                }
                (1, Err(Error::Refused { paths, .. })) => {
                    refused += group.len();
                    for name in group.keys() {
                        let listed = paths
                            .iter()
                            .any(|p| p.as_bytes().starts_with(format!("{name}/").as_bytes()));
                        assert!(listed, "{what}: {name} is not listed");
                    }
                    assert!(paths.iter().all(|p| {
                        group.keys().any(|name| p.as_bytes().starts_with(name.as_bytes()))
                    }));
                    work.assert_same(&lab.files(), &what);
                }
                (_, other) => panic!("{what}, refuse {refuse}: {other:?}"),
            }
        }
    }
    assert!(refused > 300, "{refused}");
}
