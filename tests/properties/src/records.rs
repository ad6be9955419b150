//! The small files of a repository and of a project: `format`, captured environments, marks, caches,
//! configuration, params and metrics.

use std::fmt::Display;

use mv_graph::{RepoPath, is_unprintable};
use mv_repo::config::{ProjectConfig, ValueFormat};
use mv_repo::environment::{Environment, changes, conda_environment, requirements};
use mv_repo::fuzzing;
use mv_repo::layout::Format;
use mv_repo::measures::{MAX_BYTES, MAX_VALUES};
use mv_repo::worktree::Rules;
use mv_repo::worktree::ignore::Chain;
use mv_store::{Hash, Kind, id_of};

use crate::cursor::split;
use crate::peak_of;

/// Bytes that reading one of these files may take.
const MEMORY: usize = 64 << 20;

/// Text whose last line is the check sum of those before, put right.
fn checked(bytes: &[u8]) -> Vec<u8> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let last = line.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let mut text = bytes.to_vec();
    if last.starts_with(b"check ") {
        text.truncate(line.len() - last.len());
    } else if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    let sum = id_of(Kind::Blob, &text);
    text.extend(format!("check {sum}\n").into_bytes());
    text
}

/// What is said about a file stays on one line.
fn one_line(error: &dyn Display) {
    assert!(!error.to_string().contains('\n'), "an error of several lines: {error}");
}

fn within_memory<T>(read: impl FnOnce() -> T) -> T {
    let (found, peak) = peak_of(read);
    assert!(peak <= MEMORY, "{peak} bytes were held");
    found
}

/// Bytes as the `format` file, as they are and with the right check sum.
pub(crate) fn format_file(bytes: &[u8]) {
    for bytes in [bytes, &checked(bytes)] {
        match Format::decode(bytes) {
            Ok(format) => assert!(format.encode() == bytes, "two encodings of one format file"),
            Err(error) => one_line(&error),
        }
    }
}

/// Bytes as a captured environment.
pub(crate) fn environment(bytes: &[u8]) {
    let read = within_memory(|| Environment::decode(bytes, &Hash::ZERO));
    let environment = match read {
        Ok(environment) => environment,
        Err(error) => return one_line(&error),
    };
    let canonical = environment.encode().unwrap();
    let again = Environment::decode(&canonical, &Hash::ZERO).unwrap();
    assert!(again == environment && again.encode().unwrap() == canonical);
    assert!(changes(Some(&environment), Some(&again)).is_empty());
    let all = changes(None, Some(&environment)).len();
    assert!(all == changes(Some(&environment), None).len());
    assert!(all >= environment.installed().len());
    // What pip and conda read: no line may begin another, or an option that was not meant.
    for export in [requirements(&environment), conda_environment(&environment)] {
        for line in &export.lines {
            assert!(!line.contains(is_unprintable), "{line:?}");
            assert!(!line.starts_with('-') || line.starts_with("-e ./"), "{line:?}");
        }
    }
}

/// Bytes as the mark of a checkout.
pub(crate) fn checkout_mark(bytes: &[u8]) {
    for bytes in [bytes, &checked(bytes)] {
        assert!(fuzzing::checkout_mark(bytes).is_none_or(|again| again == bytes));
    }
}

/// Bytes as the note of a merge that waits.
pub(crate) fn merge_note(bytes: &[u8]) {
    for bytes in [bytes, &checked(bytes)] {
        let (read, peak) = peak_of(|| fuzzing::merge_note(bytes));
        assert!(peak < (1 << 20) + 64 * bytes.len());
        assert!(read.is_none_or(|again| again == bytes));
    }
}

/// Bytes as a stat cache: as its file, and as its form in memory, each also with the right check sums.
pub(crate) fn stat_cache(bytes: &[u8]) {
    const MOST: u64 = 8 << 20;
    let sealed = |bytes: &[u8]| [bytes, id_of(Kind::Blob, bytes).as_bytes()].concat();
    let mut file = bytes.to_vec();
    if let Some(header) = file.get_mut(..48) {
        let sum = id_of(Kind::Blob, &header[..40]);
        header[40..].copy_from_slice(&sum.as_bytes()[..8]);
    }
    for packed in [bytes, &sealed(&file)] {
        let unpacked = within_memory(|| fuzzing::unpack_stat_cache(packed, MOST));
        let Some(cache) = unpacked else { continue };
        assert!(cache.len() as u64 <= MOST);
        open(&cache);
        if let Some(body) = cache.len().checked_sub(32) {
            open(&sealed(&cache[..body]));
        }
    }
    open(bytes);
    open(&sealed(bytes));

    fn open(cache: &[u8]) {
        if let Ok((packed, entries)) = within_memory(|| fuzzing::open_stat_cache(cache)) {
            assert!(entries <= cache.len() as u64 / 72);
            let again = fuzzing::unpack_stat_cache(&packed, MOST);
            assert!(again.is_some_and(|again| again == cache), "a cache is packed into another");
        }
    }
}

/// Bytes as the index of tensors, as they are and with the right check sums.
pub(crate) fn seen(bytes: &[u8]) {
    let files = bytes.get(24..).unwrap_or_default();
    let mut mended = bytes.get(..16).unwrap_or_default().to_vec();
    mended.extend(id_of(Kind::Blob, &mended).as_bytes()[..8].to_vec());
    mended.extend_from_slice(files);
    mended.extend(id_of(Kind::Blob, &mended).as_bytes().to_vec());
    for bytes in [bytes, &mended] {
        let (read, peak) = peak_of(|| fuzzing::seen(bytes));
        assert!(peak < (1 << 20) + 16 * bytes.len());
        assert!(read.is_none_or(|again| again == bytes));
    }
}

/// Bytes as `mv.toml`.
pub(crate) fn project_config(bytes: &[u8]) {
    let read = within_memory(|| ProjectConfig::parse(bytes));
    let config = match read {
        Ok(config) => config,
        Err(error) => return one_line(&error),
    };
    assert!(!config.name.contains(char::is_control));
    assert!(config.policies("production").count() <= 2);
    match within_memory(|| Rules::new(&config)) {
        Ok(rules) => {
            for path in ["a", "model/a.pt", "data/x/y.csv", "*", "[", "requirements.txt"] {
                let path = RepoPath::from_bytes(path.as_bytes()).unwrap();
                let found = rules.component_of(&path, false);
                assert!(found == rules.component_of(&path, false));
            }
        }
        Err(error) => one_line(&error),
    }
}

/// Bytes as `.mv/config.toml`.
pub(crate) fn local_config(bytes: &[u8]) {
    match within_memory(|| fuzzing::local_config(bytes)) {
        Ok(mut config) => {
            let list: Vec<_> = config.list().into_iter().map(|(k, v)| (k, v.to_owned())).collect();
            for (key, value) in list {
                assert!(config.get(key).unwrap() == Some(&value));
                config.set(key, &value).expect("what may be in the file may be set");
            }
        }
        Err(error) => one_line(&error),
    }
}

/// Bytes as an ignore file, a NUL, and a path.
pub(crate) fn ignore_file(bytes: &[u8]) {
    let [text, path] = split(bytes, 0);
    let (chain, problems) = within_memory(|| Chain::root().extend(b"", text));
    assert!(problems.iter().all(|problem| !problem.contains(is_unprintable)));
    let (inner, _) = chain.extend(b"d", text);
    for path in [path, b"a.txt", b"d/e/f.bin"] {
        for is_dir in [false, true] {
            let (outer, inner) = (chain.ignores(path, is_dir), inner.ignores(path, is_dir));
            assert!((outer, inner) == (chain.ignores(path, is_dir), inner));
        }
    }
    assert!(chain.ignores(b"d/.mv", true) && chain.ignores(b".git", false));
}

/// Bytes as params or metrics in JSON.
pub(crate) fn values_json(bytes: &[u8]) {
    values(ValueFormat::Json, bytes);
}

/// Bytes as params or metrics in YAML.
pub(crate) fn values_yaml(bytes: &[u8]) {
    values(ValueFormat::Yaml, bytes);
}

/// Bytes as params or metrics in TOML.
pub(crate) fn values_toml(bytes: &[u8]) {
    values(ValueFormat::Toml, bytes);
}

fn values(format: ValueFormat, bytes: &[u8]) {
    match within_memory(|| fuzzing::values(format, bytes)) {
        Ok(values) => {
            assert!(values.len() <= MAX_VALUES && values.is_sorted_by(|a, b| a.0 < b.0));
            assert!(values.iter().map(|(name, _)| name.len()).sum::<usize>() <= MAX_BYTES);
            for (name, value) in &values {
                assert!(!name.is_empty() && name.len() <= 1024 && !name.contains(char::is_control));
                value.validate().unwrap();
            }
        }
        Err(error) => one_line(&error),
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The file of a new repository.
pub(crate) fn format_seeds() -> Vec<Vec<u8>> {
    vec![Format::new([7; 16]).encode()]
}

/// Environments with every key.
pub(crate) fn environment_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"format":1}"#,
        concat!(
            r#"{"arch":"x86_64","conda":{"openssl":{"build":"h0_1","channel":"conda-forge","version":"3.3"}},"#,
            r#""cpu":"EPYC","cpus":8,"cuda":"12.2","driver":"535.1","format":1,"gpus":["A100","A100"],"#,
            r#""implementation":"cpython","interpreter":"conda","kernel":"6.1","#,
            r#""origins":{"toy":"-e ./toy","z":"git+https://example.org/z@1","c":"conda"},"os":"Debian","#,
            r#""packages":{"c":"1","numpy":"1.26.4","toy":"0.1","z":"2"},"python":"3.11.4"}"#
        ),
        r#"{"format":2,"python":{"deeper":1}}"#,
    ])
}

/// Marks of both states.
pub(crate) fn mark_seeds() -> Vec<Vec<u8>> {
    ["no", "yes"]
        .map(|done| {
            let id = "ab".repeat(32);
            let text = format!(
                "checkout\ntarget {id}\ndone {done}\nafter 7\nboot b-1\noperation checkout v1\n"
            );
            checked(text.as_bytes())
        })
        .to_vec()
}

/// Notes with conflicts of several kinds and without any.
pub(crate) fn merge_seeds() -> Vec<Vec<u8>> {
    let id = "ab".repeat(32);
    let head = format!(
        "merge\nours {id}\ntheirs {id}\nleft {id}\nafter 12\nlabel-ours main\nlabel-theirs feature\n"
    );
    let conflicts = format!(
        "conflict text open +file:{id}:7 - exec:{id}:300 a b/\\x1b[31m\\x5c\\xff\n\
         conflict type decided - symlink:{id}:9 dir:{id}:0 z\n"
    );
    [head.clone(), head + &conflicts].map(|text| checked(text.as_bytes())).to_vec()
}

/// A cache of three directories, in memory and on disk.
pub(crate) fn stat_cache_seeds() -> Vec<Vec<u8>> {
    let mut cache = b"MVsc\x01\0\0\0\x01".to_vec();
    cache.extend([[1; 32], [2; 32]].concat());
    cache.extend([&(-5i64).to_le_bytes()[..], b"\x04boot"].concat());
    cache.extend([&3u32.to_le_bytes()[..], &3u64.to_le_bytes()].concat());
    let mut dir = |path: &str, empty: u8, names: &[&str]| {
        cache.extend([&(path.len() as u16).to_le_bytes()[..], path.as_bytes(), &[3; 32]].concat());
        cache.push(empty);
        let all = names.concat();
        cache.extend([names.len() as u32, all.len() as u32].map(u32::to_le_bytes).concat());
        let mut end = 0;
        for name in names {
            end += name.len();
            cache.extend(
                [&(end as u32).to_le_bytes()[..], &[1, 2, 0, 0], &[9; 32], &[8; 32]].concat(),
            );
        }
        cache.extend(all.into_bytes());
    };
    dir("", 0, &["a", "b"]);
    dir("a", 2, &[]);
    dir("a/b", 0, &["x"]);
    let sum = id_of(Kind::Blob, &cache);
    let whole = [&cache[..], sum.as_bytes()].concat();
    let (packed, _) = fuzzing::open_stat_cache(&whole).unwrap();
    // The target adds check sums to both.
    vec![packed[..packed.len() - 32].to_vec(), cache]
}

/// An empty index, and one of two files.
pub(crate) fn seen_seeds() -> Vec<Vec<u8>> {
    let index = |counts: [u32; 2], files: &[&[u8]]| {
        let counts = counts.map(u32::to_le_bytes).concat();
        // The target adds check sums.
        [b"MVsn\x01\0\0\0", &counts[..], &[0; 8], &files.concat()].concat()
    };
    let tensor =
        |name: u8| [&[name; 16][..], &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]].concat();
    let one = [&[1; 32][..], &1u32.to_le_bytes(), &tensor(3)].concat();
    let two = [&[2; 32][..], &2u32.to_le_bytes(), &tensor(4), &tensor(5)].concat();
    vec![index([0, 0], &[]), index([2, 3], &[&one, &two])]
}

/// The file that `mv init` writes, and one with every key.
pub(crate) fn project_seeds() -> Vec<Vec<u8>> {
    let full = r#"
[project]
name = "churn"
[[component]]
name = "data"
patterns = ["*.csv", "/data/**", "!keep.csv"]
[params]
files = ["params.yaml", "conf/a.json"]
[metrics]
files = ["metrics.toml"]
[stage."*"]
require_semver = true
[stage.production]
require = { auc = ">= 0.8" }
no_worse = { auc = "-0.01" }
"#;
    let sections =
        ["[[component]]\nname=\"env\"\npatterns=[\"[a-c]?/{x,y}\"]\n", "component = []\n"];
    let mut seeds = texts(&[full, sections[0], sections[1]]);
    seeds.push(ProjectConfig::default_toml("tiny").into_bytes());
    seeds
}

/// Settings.
pub(crate) fn local_seeds() -> Vec<Vec<u8>> {
    texts(&["[user]\nname = \"Ada\"\nemail = \"ada@example.org\"\n", "user.name = 'x'\n"])
}

/// Patterns of every kind.
pub(crate) fn ignore_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "*.tmp\n/build/\n!keep\n# note\n\\#x\na/**/b\n[!a-z]?\n{x,y}\n\0a/x/b",
        "**\n!*/\n!d/e\n\0d/e",
        "a\\ \nb \n[z-a]\n[[:alpha:]]\n\0a ",
    ])
}

/// JSON as Python writes it.
pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"lr": 1e-3, "layers": [64, {"n": 32}], "on": true, "no": null, "s": "a\u0000b"}"#,
        r#"{"a": NaN, "b": [-Infinity, Infinity], "NaN": "Infinity", "big": 18446744073709551615}"#,
    ])
}

/// YAML with all that people use, and some that they do not.
pub(crate) fn yaml_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "lr: 1e-3\ntrain:\n  layers: [64, 32]\n  on: yes\n  s: 'it''s'\n",
        "base: &b {x: 1, y: .nan}\nother:\n  <<: *b\n  z: |\n    text\n    more\n",
        "a: [*a]\n",
        "? 1\n: {2: 0x1f, 3: 0o17, 4: !!str 5, t: 2001-01-01}\n--- # end\n",
        "a: &a [x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nd: [*c,*c,*c]\n",
    ])
}

/// TOML with all that it has.
pub(crate) fn toml_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "lr = 1e-3\n[train]\nlayers = [64, 32]\non = true\nwhen = 1979-05-27T07:32:00Z\n",
        "a.b.c = 0x1f\n'q k' = \"\\u00e9\"\n[[t]]\nx = inf\n[[t]]\nx = nan\ns = '''\nl'''\n",
    ])
}
