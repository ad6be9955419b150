//! The rules of the house, checked: which crate may use which, what libraries may not read, and
//! documents that must be current.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The names in the `[dependencies]` section of a crate's manifest.
fn dependencies(krate: &str) -> BTreeSet<String> {
    let manifest =
        fs::read_to_string(root().join("crates").join(krate).join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The sources of a crate without its test modules.
fn sources(krate: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates").join(krate).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                found.push((path, code.replace("TempFile::create", "")));
            }
        }
    }
    found
}

const LIBRARIES: [&str; 5] = ["mv-formats", "mv-store", "mv-remote", "mv-graph", "mv-repo"];

#[test]
fn a_crate_depends_only_on_crates_below_it() {
    let order = ["mv-formats", "mv-store", "mv-remote", "mv-graph", "mv-repo", "mv-cli"];
    for (at, krate) in order.iter().enumerate() {
        let ours = dependencies(krate).into_iter().filter(|d| d.starts_with("mv-"));
        for dependency in ours {
            assert!(order[..at].contains(&dependency.as_str()), "{krate} uses {dependency}");
        }
    }
    // What is remote is told apart by its transport alone; only the program brings the two together.
    for krate in ["mv-graph", "mv-repo"] {
        assert!(!dependencies(krate).contains("mv-remote"), "{krate} uses mv-remote");
    }
    assert!(dependencies("mv-remote").iter().all(|d| !d.starts_with("mv-") || d == "mv-store"));
}

#[test]
fn libraries_know_no_terminal_and_one_knows_an_async_runtime() {
    for krate in LIBRARIES {
        for foreign in ["clap", "indicatif", "anyhow", "tokio"] {
            let remote = krate == "mv-remote" && foreign == "tokio";
            assert!(remote || !dependencies(krate).contains(foreign), "{krate} uses {foreign}");
        }
    }
}

#[test]
fn libraries_read_no_clock_environment_or_current_directory() {
    for (path, code) in LIBRARIES.into_iter().flat_map(sources) {
        for word in [
            "SystemTime::now",
            "Instant::now",
            "env::var",
            "current_dir(",
            "home_dir(",
            "getrandom",
        ] {
            assert!(!code.contains(word), "{} says `{word}`", path.display());
        }
    }
}

#[test]
fn one_file_publishes_and_maps_what_the_store_keeps() {
    for (path, code) in sources("mv-store") {
        if path.ends_with("fs.rs") {
            continue;
        }
        for word in
            ["File::create", "fs::rename", "hard_link", "sync_all", "sync_data", "Mmap::map"]
        {
            assert!(!code.contains(word), "{} says `{word}`", path.display());
        }
        // A codec may ask for instructions that not every processor has.
        let codec = path.components().any(|part| part.as_os_str() == "codec");
        assert!(codec || !code.contains("unsafe {"), "{} is unsafe", path.display());
    }
}

#[test]
fn bincode_is_used_in_one_module() {
    for (path, text) in LIBRARIES.into_iter().flat_map(sources) {
        assert!(!text.contains("bincode::") || path.ends_with("wire.rs"), "{}", path.display());
    }
}

#[test]
fn the_reference_of_the_command_line_is_current() {
    let written = fs::read_to_string(root().join("docs").join("CLI.md")).unwrap();
    assert_eq!(written, mv_cli::reference_markdown(), "run `just gen`");
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let docs = root().join("docs");
    let mut pages = vec![root().join("README.md")];
    let folders = [docs.clone(), docs.join("decisions")];
    pages.extend(folders.iter().flat_map(|f| fs::read_dir(f).unwrap()).map(|e| e.unwrap().path()));
    for page in pages.iter().filter(|p| p.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") || file.contains(' ') {
                continue;
            }
            let there = page.parent().unwrap().join(file);
            assert!(there.exists(), "{} links to `{target}`", page.display());
        }
    }
}
