use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

/// A folder that plays the whole machine.
struct Place {
    dir: TempDir,
    surroundings: Surroundings,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap(), surroundings: Default::default() };
        fs::create_dir(place.path("project")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn dir(&self, name: &str) {
        fs::create_dir_all(self.path(name)).unwrap();
    }

    fn link(&self, target: &str, name: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        symlink(target, self.path(name)).unwrap();
    }

    /// A Python below `prefix` as it is installed.
    fn python(&self, prefix: &str, series: &str) {
        self.write(&format!("{prefix}/bin/python{series}"), "\x7fELF");
        self.link(&format!("python{series}"), &format!("{prefix}/bin/python3"));
        self.dir(&format!("{prefix}/lib/python{series}/site-packages"));
    }

    /// A virtual environment of the Python below `base`.
    fn venv(&self, prefix: &str, base: &str, series: &str, config: &str) {
        let home = self.path(base).join("bin");
        self.write(&format!("{prefix}/pyvenv.cfg"), format!("home = {}\n{config}", home.display()));
        self.link(
            &home.join(format!("python{series}")).to_string_lossy(),
            &format!("{prefix}/bin/python"),
        );
        self.dir(&format!("{prefix}/lib/python{series}/site-packages"));
    }

    fn on_path(&mut self, names: &[&str]) {
        self.surroundings.path = names.iter().map(|name| self.path(name)).collect();
    }

    fn find(&self) -> Option<Interpreter> {
        find(&self.path("project"), &self.surroundings, &mut Vec::new())
    }

    fn version(&self) -> String {
        self.find().unwrap().version.unwrap()
    }

    /// The folders of packages, relative to the machine.
    fn sites(&self) -> Vec<String> {
        let root = self.path("");
        let sites = self.find().unwrap().sites;
        let below = |site: &PathBuf| site.strip_prefix(&root).unwrap().display().to_string();
        sites.iter().map(below).collect()
    }
}

#[test]
fn the_active_environment_comes_before_that_of_the_project_and_that_before_path() {
    let mut place = Place::new();
    assert!(place.find().is_none());
    place.python("usr", "3.9");
    place.on_path(&["usr/bin"]);
    assert_eq!((place.find().unwrap().kind, place.version().as_str()), ("system", "3.9"));
    place.venv("project/.venv", "usr", "3.9", "version = 3.9.2\n");
    assert_eq!((place.find().unwrap().kind, place.version().as_str()), ("virtualenv", "3.9.2"));
    place.python("conda", "3.10");
    place.write("conda/conda-meta/python-3.10.8-h123_0_cpython.json", "{}");
    place.surroundings.conda_prefix = Some(place.path("conda"));
    assert_eq!((place.find().unwrap().kind, place.version().as_str()), ("conda", "3.10.8"));
    place.venv("active", "usr", "3.9", "version_info = 3.9.7.final.0\n");
    place.surroundings.virtual_env = Some(place.path("active"));
    assert_eq!((place.find().unwrap().kind, place.version().as_str()), ("virtualenv", "3.9.7"));
    // One that was removed, or is no environment, is passed over.
    place.surroundings.virtual_env = Some(place.path("gone"));
    assert_eq!(place.find().unwrap().kind, "conda");
    place.surroundings.conda_prefix = Some(place.path("project"));
    assert_eq!(place.version(), "3.9.2");
}

#[test]
fn only_python3_and_then_python_on_path_count() {
    let mut place = Place::new();
    place.write("one/python", "\x7fELF");
    place.python("two", "3.12");
    place.on_path(&["one", "two/bin"]);
    assert_eq!(place.version(), "3.12");
    // A file that cannot be executed and a folder are no programs; nor is what a project brings.
    place.write("zero/python3", "");
    fs::set_permissions(place.path("zero/python3"), fs::Permissions::from_mode(0o644)).unwrap();
    place.dir("none/python3");
    place.on_path(&["zero", "none", "two/bin"]);
    assert_eq!(place.version(), "3.12");
    place.surroundings.path = vec![PathBuf::from("two/bin"), PathBuf::new()];
    assert!(place.find().is_none());
}

#[test]
fn a_script_is_not_followed_and_that_is_told() {
    let mut place = Place::new();
    place.write("shims/python3", "#!/bin/sh\nexec rm -rf /\n");
    place.python("usr", "3.11");
    place.on_path(&["shims", "usr/bin"]);
    let mut notes = Vec::new();
    assert!(on_path("python3", &place.path("project"), &place.surroundings, &mut notes).is_none());
    assert!(notes[0].contains("is a script"), "{notes:?}");
}

#[test]
fn a_venv_with_system_packages_has_those_of_the_home_and_the_base_behind_its_own() {
    let mut place = Place::new();
    place.python("usr", "3.11");
    place.surroundings.home = Some(place.path("home"));
    place.dir("home/.local/lib/python3.11/site-packages");
    place.venv("project/.venv", "usr", "3.11", "include-system-site-packages = false\n");
    let own = "project/.venv/lib/python3.11/site-packages";
    assert_eq!(place.sites(), [own]);
    place.write(
        "project/.venv/pyvenv.cfg",
        format!("home={}\nInclude-System-Site-Packages = true\n", place.path("usr/bin").display()),
    );
    let home = "home/.local/lib/python3.11/site-packages";
    assert_eq!(place.sites(), [own, home, "usr/lib/python3.11/site-packages"]);
    place.surroundings.no_user_site = true;
    assert_eq!(place.sites(), [own, "usr/lib/python3.11/site-packages"]);
}

#[test]
fn lib64_is_looked_at_once_when_it_is_a_symlink_to_lib() {
    let mut place = Place::new();
    place.python("usr", "3.11");
    place.on_path(&["usr/bin"]);
    place.link("lib", "usr/lib64");
    assert_eq!(place.sites(), ["usr/lib/python3.11/site-packages"]);
    place.python("other", "3.11");
    place.dir("other/lib64/python3.11/site-packages");
    place.on_path(&["other/bin"]);
    assert_eq!(
        place.sites(),
        ["other/lib64/python3.11/site-packages", "other/lib/python3.11/site-packages"]
    );
}

#[test]
fn on_debian_packages_are_in_folders_of_another_name() {
    let mut place = Place::new();
    place.python("usr", "3.11");
    place.dir("usr/lib/python3.9");
    place.on_path(&["usr/bin"]);
    for dir in ["usr/lib/python3/dist-packages", "usr/local/lib/python3.11/dist-packages"] {
        place.dir(dir);
    }
    assert_eq!(
        place.sites(),
        ["usr/local/lib/python3.11/dist-packages", "usr/lib/python3/dist-packages"]
    );
}

#[test]
fn a_shim_of_pyenv_stands_for_the_version_that_pyenv_would_choose() {
    let mut place = Place::new();
    place.write("pyenv/shims/python3", "#!/bin/sh\n");
    for version in ["3.11.4", "3.11.10", "3.12.1"] {
        place.python(&format!("pyenv/versions/{version}"), &version[..4]);
    }
    place.python("usr", "3.9");
    place.on_path(&["pyenv/shims", "usr/bin"]);
    // pyenv has no version set: the system's.
    assert_eq!(place.version(), "3.9");
    place.write("pyenv/version", "3.11.4\n");
    assert_eq!(place.version(), "3.11.4");
    place.write(".python-version", "# of the team\n3.11\n");
    assert_eq!(place.version(), "3.11.10");
    place.write("project/.python-version", "python-3.12.1\n");
    assert_eq!(place.version(), "3.12.1");
    for (name, expected) in
        [("3.11.4:3.12.1", "3.11.4"), ("nope:3.12", "3.12.1"), ("system", "3.9"), ("../..", "3.9")]
    {
        place.surroundings.pyenv_version = Some(name.to_owned());
        assert_eq!(place.version(), expected, "{name}");
    }
}

#[test]
fn the_patch_level_is_found_without_running_anything() {
    let mut place = Place::new();
    place.python("usr", "3.11");
    place.on_path(&["usr/bin"]);
    assert_eq!(place.version(), "3.11");
    place.write("usr/lib/libpython3.11.so.1.0", b"\x7fELF\0\x003.11.2\0 3.11.9 \x003.11.\0");
    assert_eq!(place.version(), "3.11.2");
    place.write("usr/bin/python3.11", b"\x7fELF\x003.11.3\0\x003.11.3\0tail");
    assert_eq!(place.version(), "3.11.3");
    // Two different ones: neither can be told to be it.
    place.write("usr/bin/python3.11", b"\x7fELF\x003.11.3\0\x003.11.4\0tail");
    assert_eq!(place.version(), "3.11.2");
    place.write("usr/include/python3.11/patchlevel.h", "/* */\n#define PY_VERSION \t\"3.11.6\"\n");
    assert_eq!(place.version(), "3.11.6");
    place.write("usr/include/python3.11/patchlevel.h", "#define PY_VERSION \"3.12.6\"\n");
    assert_eq!(place.version(), "3.11.2");
    place.python("uv/cpython-3.12.3-linux-x86_64-gnu", "3.12");
    place.on_path(&["uv/cpython-3.12.3-linux-x86_64-gnu/bin"]);
    assert_eq!(place.version(), "3.12.3");
}

#[test]
fn pypy_is_told_from_cpython() {
    let mut place = Place::new();
    place.write("pypy3.10-v7.3.12/bin/pypy3.10", "\x7fELF");
    place.link("pypy3.10", "pypy3.10-v7.3.12/bin/python3");
    place.dir("pypy3.10-v7.3.12/lib/pypy3.10/site-packages");
    place.on_path(&["pypy3.10-v7.3.12/bin"]);
    let found = place.find().unwrap();
    assert_eq!((found.implementation, found.version.as_deref()), ("pypy", Some("3.10")));
    assert_eq!(place.sites(), ["pypy3.10-v7.3.12/lib/pypy3.10/site-packages"]);
}

#[test]
fn symlinks_that_lead_in_circles_are_no_environment() {
    let mut place = Place::new();
    place.link(".venv", "project/.venv");
    assert!(place.find().is_none());
    fs::remove_file(place.path("project/.venv")).unwrap();
    place.write("project/.venv/pyvenv.cfg", "home = /nowhere/bin\nversion = 3.11.4\n");
    for name in ["bin", "lib", "lib64"] {
        place.link(".", &format!("project/.venv/{name}"));
    }
    place.link("python3.11", "project/.venv/python3.11");
    let found = place.find().unwrap();
    assert_eq!((found.version.as_deref(), found.sites.len()), (Some("3.11.4"), 0));
    place.link("python3", "bin/python3");
    place.on_path(&["bin"]);
    fs::remove_dir_all(place.path("project/.venv")).unwrap();
    assert!(place.find().is_none());
}

#[test]
fn a_hostile_configuration_is_only_text() {
    let place = Place::new();
    let long = "x".repeat(100_000);
    for config in [
        "version = \x1b[31m3.11\n",
        "version = ../../etc\nhome = relative\n",
        "version\nhome\n= \n",
        &format!("version = 3.{long}\n"),
        "\0\u{fffd}",
    ] {
        place.write("project/.venv/pyvenv.cfg", config);
        let found = place.find().unwrap();
        assert_eq!((found.kind, found.version), ("virtualenv", None), "{config:.40}");
    }
}
