//! Trees, versions, state records and ledger entries, and the names in them.

use std::collections::BTreeSet;
use std::path::Component;

use mv_graph::{
    Branch, ComponentRef, Head, LedgerEntry, MAX_COMPONENT, MAX_DEPTH, MAX_PATH, Manifest, Mode,
    MoveKind, Person, RefName, RemoteSeen, RepoPath, Retired, Scalar, Source, Stage, State, Tag,
    Time, Tracking, Tree, TreeEntry, is_unprintable,
};
use mv_store::{Hash, Kind, PackId, id_of};

use crate::peak_of;

/// Decodes and encodes again. What comes out must be what went in, in memory that goes with its length.
fn canonical<T>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Option<T>,
    encode: impl Fn(&T) -> Option<Vec<u8>>,
) -> Option<T> {
    let (value, peak) = peak_of(|| decode(bytes));
    assert!(peak < (4 << 20) + 128 * bytes.len(), "{peak} bytes held for {}", bytes.len());
    let value = value?;
    let again = encode(&value).expect("what was decoded can be encoded");
    assert!(again == bytes, "two encodings of one value");
    Some(value)
}

/// Bytes as a state record, as they are and with the right seal behind them.
pub(crate) fn state(bytes: &[u8]) {
    one_state(bytes);
    one_state(&sealed(bytes));
    if let Some(body) = bytes.len().checked_sub(32) {
        one_state(&sealed(&bytes[..body]));
    }
}

fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &id_of(Kind::Blob, body).0].concat()
}

fn one_state(bytes: &[u8]) {
    let decode = |bytes: &[u8]| State::decode(bytes, "state/1").ok();
    let Some(state) = canonical(bytes, decode, |state| state.encode().ok()) else { return };
    assert!(state.branches.iter().all(|b| state.branch(b.name.as_str()) == Some(b)));
    assert!(state.tags.iter().all(|t| state.tag(t.name.as_str()) == Some(t)));
    assert!(state.stages.iter().all(|s| state.stage(s.name.as_str()) == Some(s)));
    assert!(state.remotes.iter().all(|r| state.remote(r.remote.as_str()) == Some(r)));
    let tracked = |t: &Tracking| state.tracked(t.remote.as_str(), t.branch.as_str()) == Some(t);
    assert!(state.tracking.iter().all(tracked));
    let targets = state.targets();
    assert!(!targets.contains(&Hash::ZERO) && targets.is_sorted());
    assert!(state.head_target().is_none_or(|id| targets.contains(&id)));
    for name in state.branches.iter().map(|b| &b.name).chain(state.tags.iter().map(|t| &t.name)) {
        one_name(name);
    }
    // What follows it is as sound, as far as there are numbers.
    let next = state.next("fuzz", [1; 16], Time::default(), None);
    let next = State { previous: Hash([1; 32]), ..next };
    assert!(next.validate().is_ok() || state.generation == u64::MAX);
}

/// Bytes as a version.
pub(crate) fn manifest(bytes: &[u8]) {
    let decode = |bytes: &[u8]| Manifest::decode(bytes).ok();
    let Some(manifest) = canonical(bytes, decode, |m| m.encode().ok()) else { return };
    assert!(manifest.id().unwrap() == id_of(Kind::Manifest, bytes));
    assert!(manifest.params.iter().all(|(name, value)| manifest.param(name) == Some(value)));
    assert!(manifest.metrics.iter().all(|(name, value)| manifest.metric(name) == Some(value)));
    let sums = manifest.components.iter().fold((0, 0), |(files, bytes): (u64, u64), c| {
        (files.checked_add(c.files).unwrap(), bytes.checked_add(c.bytes).unwrap())
    });
    assert!(manifest.totals() == sums);
    assert!(!manifest.subject().trim().is_empty() && !manifest.subject().contains('\n'));
    let created = manifest.created;
    assert!(!created.to_display().is_empty() && !created.version_stamp().is_empty());
    let again = Time::parse(&created.to_rfc3339_utc(), 0).unwrap();
    assert!(again.ns.div_euclid(1_000_000_000) == created.seconds(), "{created:?} {again:?}");
    for (_, value) in manifest.params.iter().chain(&manifest.metrics) {
        let json = value.to_json();
        if let Some(back) = Scalar::from_json(&json) {
            let finite = value.as_f64().is_none_or(f64::is_finite);
            assert!(back == *value || !finite || matches!(value, Scalar::Float(_)));
        }
    }
}

/// Bytes as a tree.
pub(crate) fn tree(bytes: &[u8]) {
    let decode = |bytes: &[u8]| Tree::decode(bytes).ok();
    let Some(tree) = canonical(bytes, decode, |t| t.encode().ok()) else { return };
    assert!(tree.id().unwrap() == id_of(Kind::Tree, bytes));
    assert!(tree.totals().is_ok());
    for entry in &tree.entries {
        assert!(tree.get(&entry.name) == Some(entry));
        let path = RepoPath::from_bytes(&entry.name).expect("a name is a path");
        one_path(&path);
        assert!(path.components().count() == 1);
    }
}

/// Bytes as a ledger entry.
pub(crate) fn ledger(bytes: &[u8]) {
    let decode = |bytes: &[u8]| LedgerEntry::decode(bytes).ok();
    let Some(entry) = canonical(bytes, decode, |e| e.encode().ok()) else { return };
    assert!(entry.from != entry.to && (entry.sequence == 1) == entry.previous.is_none());
    one_name(&entry.stage);
}

/// Text as the name of a branch, tag, stage or remote, held to what `docs/FORMAT.md` says of them.
pub(crate) fn ref_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match RefName::parse(text) {
        Ok(name) => {
            assert!(name.as_str() == text);
            one_name(&name);
        }
        Err(error) => {
            assert!(!is_ref_name(text), "{text:?} is refused: {error}");
        }
    }
}

fn one_name(name: &RefName) {
    let text = name.as_str();
    assert!(is_ref_name(text), "{text:?} is taken for a name");
    assert!(!text.contains(|c: char| is_unprintable(c) || c.is_whitespace()));
    // It is as safe as a path below a folder.
    let path = RepoPath::from_bytes(text.as_bytes());
    assert!(path.is_ok() || text.split('/').any(|c| mv_graph::is_protected(c.as_bytes())));
    if let Some(version) = name.version() {
        assert!(version.to_string() == text.strip_prefix('v').unwrap_or(text));
    }
}

/// Section 13 of `docs/FORMAT.md`, word by word.
fn is_ref_name(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let hex = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let word = |c: char| !is_invisible(c) && !c.is_whitespace() && !"~^:?*[\\".contains(c);
    let device = |component: &str| {
        let stem = component.split('.').next().unwrap_or_default();
        let numbered = ["com", "lpt"].iter().any(|d| {
            stem.strip_prefix(d)
                .is_some_and(|n| n.chars().count() == 1 && "0123456789¹²³".contains(n))
        });
        numbered || ["con", "prn", "aux", "nul", "conin$", "conout$"].contains(&stem)
    };
    let component = |c: &str| {
        !(c.is_empty()
            || c.starts_with('.')
            || c.ends_with('.')
            || c.ends_with(".lock")
            || device(c))
    };
    (1..=255).contains(&text.len())
        && text.chars().all(word)
        && !text.starts_with('-')
        && !text.contains("..")
        && !text.contains("@{")
        && text != "@"
        && !hex
        && lower != "head"
        && lower != "latest"
        && !lower.starts_with("refs/")
        && lower.split('/').all(component)
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfeff | 0xffa0
            | 0xfff0..=0xfffb | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// Bytes as a path.
pub(crate) fn repo_path(bytes: &[u8]) {
    let Ok(path) = RepoPath::from_bytes(bytes) else { return };
    assert!(path.as_bytes() == bytes);
    one_path(&path);
}

fn one_path(path: &RepoPath) {
    let components: Vec<&[u8]> = path.components().collect();
    assert!(components.join(&b'/') == path.as_bytes());
    assert!(path.as_bytes().len() <= MAX_PATH && components.len() <= MAX_DEPTH);
    for name in &components {
        assert!(!name.is_empty() && name.len() <= MAX_COMPONENT && !name.contains(&0));
        let plain = without_ignored(name);
        assert!(plain != ".mv" && plain != ".git", "{path} leads into a repository");
    }
    let inside = |c: Component<'_>| matches!(c, Component::Normal(_));
    assert!(path.to_path().components().all(inside), "{path} leads elsewhere");
    assert!(path.to_path().components().count() == components.len());
    assert!(!path.to_string().contains(is_unprintable));
    match path.parent() {
        Some(parent) => {
            assert!(parent.join(path.file_name()).unwrap() == *path);
            assert!(parent < *path && path.starts_with(&parent) && !parent.starts_with(path));
            assert!(path.ancestors().last() == Some(parent));
        }
        None => assert!(components.len() == 1 && path.ancestors().next().is_none()),
    }
}

/// A name as the file systems see it that see less than others.
fn without_ignored(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let ignored = |c: &char| {
        matches!(u32::from(*c),
        0x200c..=0x200f | 0x202a..=0x202e | 0x206a..=0x206f | 0xfeff)
    };
    let seen: String = text.chars().filter(|c| !ignored(c)).collect();
    let stem = seen.split(':').next().unwrap_or_default();
    stem.trim_end_matches(['.', ' ']).to_ascii_lowercase()
}

const ID: Hash = Hash([0xab; 32]);

fn name(text: &str) -> RefName {
    RefName::parse(text).unwrap()
}

fn ada() -> Person {
    Person { name: "Ada".into(), email: "ada@example.org".into() }
}

/// A new repository's record, and one with something in every list.
pub(crate) fn state_seeds() -> Vec<Vec<u8>> {
    let time = Time { ns: 1_767_322_645_000_000_000, offset_minutes: 60 };
    let first = State::first([1; 16], name("main"), [2; 16], time);
    let retired = |n| vec![Retired { pack: PackId(Hash([n; 32])), since: time, generation: 1 }];
    let tag = |text, target| Tag {
        name: name(text),
        target,
        message: "m".into(),
        tagger: ada(),
        created: time,
    };
    let full = State {
        generation: 9,
        previous: ID,
        head: Head::Detached(ID),
        branches: ["dev", "feature/x", "main"].map(|n| Branch { name: name(n), target: ID }).into(),
        tags: vec![tag("note", Some(ID)), tag("v1.0.0", None)],
        stages: vec![Stage { name: name("prod"), target: None, ledger: ID }],
        tracking: vec![Tracking { remote: name("origin"), branch: name("main"), target: ID }],
        remotes: vec![RemoteSeen { remote: name("origin"), generation: 300, record: ID }],
        packs: vec![PackId(Hash([3; 32])), PackId(Hash([4; 32]))],
        condemned: retired(1),
        deleting: retired(2),
        actor: Some(ada()),
        operation: "stage set prod".into(),
        cursor: 9,
        before: 8,
        redo: vec![3, 4],
        saved: Some(ID),
        touched_worktree: true,
        ..first.clone()
    };
    // Without seals: the target adds them.
    [first, full]
        .map(|state| {
            let bytes = state.encode().unwrap();
            bytes[..bytes.len() - 32].to_vec()
        })
        .to_vec()
}

/// A version with one of everything.
pub(crate) fn manifest_seeds() -> Vec<Vec<u8>> {
    let empty = Tree::default().id().unwrap();
    let nothing = ComponentRef { tree: empty, files: 0, bytes: 0 };
    let something = ComponentRef { tree: ID, files: 3, bytes: 70_000 };
    let git = Source {
        vcs: "git".into(),
        commit: "abc".into(),
        branch: Some("main".into()),
        dirty: true,
        url: Some("https://example.org/x".into()),
    };
    let full = Manifest {
        parents: vec![ID, Hash([1; 32])],
        components: [something, nothing, something, nothing],
        environment: Some(ID),
        model_name: "tiny".into(),
        params: vec![
            ("epochs".into(), Scalar::Int(-3)),
            ("lr".into(), Scalar::float(0.001)),
            ("name".into(), Scalar::Text("x".into())),
            ("shuffle".into(), Scalar::Bool(true)),
        ],
        metrics: vec![("auc".into(), Scalar::float(f64::NAN))],
        metadata: vec![("note".into(), "x\ny".into())],
        message: "first\n\nof many".into(),
        author: ada(),
        created: Time { ns: -5, offset_minutes: -90 },
        source: Some(git),
    };
    let bare = Manifest {
        parents: vec![],
        components: [nothing; 4],
        environment: None,
        params: vec![],
        metrics: vec![],
        metadata: vec![],
        source: None,
        ..full.clone()
    };
    [full, bare].map(|manifest| manifest.encode().unwrap()).to_vec()
}

/// Trees of nothing and of every mode.
pub(crate) fn tree_seeds() -> Vec<Vec<u8>> {
    let entry = |name: &[u8], mode, bytes, files| TreeEntry {
        name: name.to_vec(),
        mode,
        id: ID,
        bytes,
        files,
    };
    let full = Tree {
        entries: vec![
            entry(b".mvignore", Mode::File, 0, 1),
            entry(b"a", Mode::Exec, 300, 1),
            entry(b"d", Mode::Dir, 1 << 40, 70_000),
            entry(b"link", Mode::Symlink, 9, 1),
            entry(b"\xff\xfe", Mode::Dir, 0, 0),
        ],
    };
    [full, Tree::default()].map(|tree| tree.encode().unwrap()).to_vec()
}

/// A first move and a later one.
pub(crate) fn ledger_seeds() -> Vec<Vec<u8>> {
    let first = LedgerEntry {
        stage: name("production"),
        sequence: 1,
        previous: None,
        from: None,
        to: Some(ID),
        kind: MoveKind::Set,
        by: ada(),
        at: Time { ns: 1 << 60, offset_minutes: 0 },
        reason: "first".into(),
    };
    let later = LedgerEntry {
        sequence: 70_000,
        previous: Some(ID),
        from: Some(ID),
        to: None,
        kind: MoveKind::Unset,
        reason: String::new(),
        ..first.clone()
    };
    [first, later].map(|entry| entry.encode().unwrap()).to_vec()
}

/// Names that are nearly refused, and such as are.
pub(crate) fn ref_name_seeds() -> Vec<Vec<u8>> {
    let names = [
        "main",
        "feature/x-1",
        "v1.2.3-rc.1+build",
        "a.b/c.d",
        "refs/heads/x",
        "-f",
        "a..b",
        "@{1}",
        "@",
        "x.lock",
        "com1",
        "COM¹.txt",
        "conin$",
        "HEAD",
        "latest",
        "ünï/ço",
        "a\u{200b}b",
        "lpt10",
        "0123456789abcdef0123456789abcdef01234567",
    ];
    distinct(names.map(|text| text.as_bytes().to_vec()))
}

/// Paths that nearly leave the root, and such as do.
pub(crate) fn repo_path_seeds() -> Vec<Vec<u8>> {
    let paths = [
        "a/b/c.txt",
        "../x",
        "/abs",
        "a/../b",
        "a//b",
        ".mv/config",
        ".GIT/x",
        "mv~1",
        "git~12",
        ".g\u{200c}it",
        ".git::$INDEX",
        ".mv. .",
        "..x/...",
        "a b\n/\u{202e}",
        ".mvignore",
        "\u{feff}.mv",
    ];
    distinct(paths.map(|text| text.as_bytes().to_vec()))
}

fn distinct<const N: usize>(seeds: [Vec<u8>; N]) -> Vec<Vec<u8>> {
    BTreeSet::from(seeds).into_iter().collect()
}
