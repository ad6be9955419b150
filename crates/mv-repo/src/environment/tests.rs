use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use mv_store::id_of;
use tempfile::TempDir;

use super::*;
use crate::surroundings::Machine;

/// A project with a `.venv`, and a fake system beside it.
struct Project {
    dir: TempDir,
    surroundings: Surroundings,
}

const SITE: &str = "project/.venv/lib/python3.11/site-packages";

impl Project {
    fn new() -> Project {
        let project =
            Project { dir: tempfile::tempdir().unwrap(), surroundings: Default::default() };
        project.write("project/.venv/pyvenv.cfg", "home = /nowhere/bin\nversion = 3.11.4\n");
        fs::create_dir_all(project.path(SITE)).unwrap();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// An installed package.
    fn package(&self, name: &str, version: &str) -> String {
        let record = format!("{SITE}/{name}-{version}.dist-info");
        let text =
            format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 0\n");
        self.write(&format!("{record}/METADATA"), text);
        record
    }

    fn direct(&self, name: &str, document: &str) {
        let record = self.package(name, "1.0");
        self.write(&format!("{record}/direct_url.json"), document);
    }

    fn capture(&self) -> Environment {
        capture(&self.path("project"), &self.surroundings)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        capture_noting(&self.path("project"), &self.surroundings, &mut notes);
        notes
    }
}

fn packages(environment: &Environment) -> Vec<(&str, &str)> {
    environment.packages.iter().map(|(name, v)| (name.as_str(), v.as_str())).collect()
}

#[test]
fn packages_are_read_from_every_kind_of_record_under_normal_names() {
    let project = Project::new();
    project.package("numpy", "1.26.4");
    project.package("Ruamel_Yaml.Clib", "0.2");
    project.write(&format!("{SITE}/PyYAML-6.0.egg-info/PKG-INFO"), "Name: PyYAML\nVersion: 6.0\n");
    project.write(&format!("{SITE}/old-1.1-py3.11.egg-info"), "Name: old\nVersion: 1.1\n");
    project.write(
        &format!("{SITE}/egg-2.0-py3.11.egg/EGG-INFO/PKG-INFO"),
        "Name: egg\nVersion: 2.0\n",
    );
    project.write(&format!("{SITE}/~umpy-1.0.dist-info/METADATA"), "Name: gone\nVersion: 1\n");
    project.write(&format!("{SITE}/numpy/version.py"), "raise SystemExit");
    let environment = project.capture();
    assert_eq!(
        packages(&environment),
        [
            ("egg", "2.0"),
            ("numpy", "1.26.4"),
            ("old", "1.1"),
            ("pyyaml", "6.0"),
            ("ruamel-yaml-clib", "0.2"),
        ]
    );
    assert_eq!(environment.python.as_deref(), Some("3.11.4"));
    assert!(project.notes().is_empty());
}

#[test]
fn the_first_of_a_name_on_the_path_wins() {
    let mut project = Project::new();
    project.package("numpy", "2.0");
    let cfg = format!(
        "home = {}\nversion = 3.11.4\ninclude-system-site-packages = true\n",
        project.path("usr/bin").display()
    );
    project.write("project/.venv/pyvenv.cfg", cfg);
    project.write("usr/bin/python3.11", "");
    let base = "usr/lib/python3.11/site-packages";
    for (name, version) in [("numpy", "1.0"), ("scipy", "1.0")] {
        let text = format!("Name: {name}\nVersion: {version}\n");
        project.write(&format!("{base}/{name}-{version}.dist-info/METADATA"), text);
    }
    project.surroundings.no_user_site = true;
    assert_eq!(packages(&project.capture()), [("numpy", "2.0"), ("scipy", "1.0")]);
}

#[test]
fn a_record_that_cannot_be_read_falls_back_to_its_name_or_is_told() {
    let project = Project::new();
    let info = |name: &str| format!("{SITE}/{name}.dist-info");
    fs::create_dir_all(project.path(&info("empty-1.0"))).unwrap();
    project.write(&format!("{}/METADATA", info("binary-2.0")), [0xff, 0, 0xfe, 0x1b].repeat(9000));
    let huge = format!("{}Name: huge\nVersion: 9\n", "X: y\n".repeat(100_000));
    project.write(&format!("{}/METADATA", info("huge-3.0")), huge);
    project.write(&format!("{}/METADATA", info("body-4.0")), "X: y\n\nName: other\nVersion: 9\n");
    project
        .write(&format!("{}/METADATA", info("unknown-5.0")), "Name: UNKNOWN\nVersion: UNKNOWN\n");
    // A fifo would keep a reader waiting for ever; a device would never end.
    let fifo = project.path(&info("fifo-6.0"));
    fs::create_dir_all(&fifo).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fifo.join("METADATA"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let device = project.path(&info("device-7.0"));
    fs::create_dir_all(&device).unwrap();
    symlink("/dev/zero", device.join("METADATA")).unwrap();
    let circle = project.path(&info("circle-8.0"));
    symlink("circle-8.0.dist-info", circle).unwrap();
    fs::create_dir_all(project.path(&info("nothing"))).unwrap();
    assert_eq!(
        packages(&project.capture()),
        [
            ("binary", "2.0"),
            ("body", "4.0"),
            ("circle", "8.0"),
            ("device", "7.0"),
            ("empty", "1.0"),
            ("fifo", "6.0"),
            ("huge", "3.0"),
            ("unknown", "5.0"),
        ]
    );
    let notes = project.notes();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("nothing.dist-info"), "{notes:?}");
}

#[test]
fn hostile_names_and_versions_stay_in_their_bounds() {
    let project = Project::new();
    let long = "9".repeat(5000);
    for (at, (name, version)) in [
        ("evil\u{1b}[31m", "1"),
        ("-rf", "1"),
        ("../../x", "1"),
        ("a b", "1"),
        (long.as_str(), "1"),
    ]
    .into_iter()
    .enumerate()
    {
        let record = format!("{SITE}/safe{at}-1.dist-info/METADATA");
        project.write(&record, format!("Name: {name}\nVersion: {version}\n"));
    }
    project.write(&format!("{SITE}/v-1.dist-info/METADATA"), format!("Name: v\nVersion: {long}\n"));
    let environment = project.capture();
    let names: Vec<_> = environment.packages.keys().map(String::as_str).collect();
    assert_eq!(names, ["safe0", "safe1", "safe2", "safe3", "safe4", "v"]);
    assert_eq!(environment.packages["v"].len(), 128);
}

#[test]
fn where_a_package_came_from_is_recorded_without_credentials_and_paths() {
    let project = Project::new();
    let inside = format!("file://{}", project.path("project/libs/toy").display());
    let commit = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d";
    let git = format!(
        r#"{{"url":"https://me:SECRET@host/a.git","vcs_info":{{"vcs":"git","commit_id":"{commit}"}}}}"#
    );
    project.direct("git", &git);
    project.direct(
        "wheel",
        r#"{"url":"https://host/w.whl?sig=SECRET","archive_info":{"hash":"sha256=ab12"}}"#,
    );
    project.direct("inside", &format!(r#"{{"url":"{inside}","dir_info":{{"editable":true}}}}"#));
    project.direct("outside", r#"{"url":"file:///home/SECRET/toy","dir_info":{"editable":true}}"#);
    project
        .direct("localhost", r#"{"url":"file://localhost/home/SECRET/toy.whl","archive_info":{}}"#);
    project.direct("broken", r#"{"url":7"#);
    project.direct("long", &format!(r#"{{"url":"https://host/{}"}}"#, "x".repeat(5000)));
    let environment = project.capture();
    let origin = |name: &str| environment.origins.get(name).map(String::as_str);
    assert_eq!(origin("git"), Some(format!("git+https://host/a.git@{commit}").as_str()));
    assert_eq!(origin("wheel"), Some("https://host/w.whl#sha256=ab12"));
    assert_eq!(origin("inside"), Some("-e ./libs/toy"));
    assert_eq!(origin("outside"), Some("-e local"));
    assert_eq!(origin("localhost"), Some("local"));
    assert_eq!(origin("broken"), None);
    assert_eq!(origin("long").map(str::len), Some(1024));
    let text = String::from_utf8(environment.encode().unwrap()).unwrap();
    assert!(!text.contains("SECRET"), "{text}");
    let dir = project.path("").display().to_string();
    assert!(!text.contains(&dir), "{text}");
}

#[test]
fn conda_tells_what_it_installed_python_or_not() {
    let mut project = Project::new();
    let meta = "conda/conda-meta";
    project.write(
        "conda/lib/python3.11/site-packages/torch-2.1.dist-info/METADATA",
        "Name: torch\nVersion: 2.1\n",
    );
    project.write("conda/lib/python3.11/site-packages/torch-2.1.dist-info/INSTALLER", "conda\n");
    project.write(&format!("{meta}/history"), "");
    project.write(
        &format!("{meta}/pytorch-2.1-cuda12_0.json"),
        r#"{"name":"pytorch","version":"2.1","build":"cuda12_0","channel":"https://conda.anaconda.org/t/SECRET/pytorch/linux-64"}"#,
    );
    // Too long to be read whole: the file's name, and the channel from the beginning.
    let files = "\"lib/x\",".repeat(20_000);
    let long = format!(
        "{{\n  \"build\": \"h1_0\",\n  \"channel\": \"https://repo.anaconda.com/pkgs/main/noarch\",\n  \"files\": [{files}\"\"],\n  \"name\": \"ca-certs\"}}"
    );
    project.write(&format!("{meta}/ca-certs-2024.1-h1_0.json"), long);
    project.write(&format!("{meta}/python-3.11.9-h2_cpython.json"), "{}");
    project.write(&format!("{meta}/broken.json"), [0xff; 100]);
    project.surroundings.conda_prefix = Some(project.path("conda"));
    let environment = project.capture();
    assert_eq!(environment.interpreter.as_deref(), Some("conda"));
    assert_eq!(environment.python.as_deref(), Some("3.11.9"));
    let pytorch = &environment.conda["pytorch"];
    assert_eq!((pytorch.build.as_str(), pytorch.channel.as_str()), ("cuda12_0", "pytorch"));
    let certs = &environment.conda["ca-certs"];
    assert_eq!((certs.version.as_str(), certs.channel.as_str()), ("2024.1", "pkgs/main"));
    assert_eq!(environment.origins["torch"], "conda");
    let installed: Vec<_> = environment.installed().into_keys().collect();
    assert_eq!(installed, ["ca-certs", "python", "pytorch", "torch"]);
    assert_eq!(project.notes().len(), 1);
    assert!(!String::from_utf8(environment.encode().unwrap()).unwrap().contains("SECRET"));
    let yaml = conda_environment(&environment).lines.join("\n");
    assert!(yaml.contains("  - \"pytorch=2.1=cuda12_0\""), "{yaml}");
    assert!(!yaml.contains("torch==") && !yaml.contains("pip"), "{yaml}");
}

#[test]
fn the_machine_is_described_from_its_files() {
    let mut project = Project::new();
    let machine =
        Machine { system: "Linux".into(), release: "6.1.0".into(), arch: "x86_64".into() };
    project.surroundings = Surroundings { machine, ..Default::default() };
    assert_eq!(project.capture().os.as_deref(), Some("Linux"));
    project.surroundings.system_root = Some(project.path("sys"));
    project.write("sys/etc/os-release", "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n");
    project.write("sys/proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD  EPYC\nflags : x\n");
    project.write("sys/sys/devices/system/cpu/present", "0-3,8-11\n");
    let nvidia = "sys/proc/driver/nvidia";
    project.write(
        &format!("{nvidia}/version"),
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build\nGCC version: 12.2\n",
    );
    for slot in ["0000:01:00.0", "0000:02:00.0"] {
        let text = "Model: \t\t NVIDIA A100-SXM4\nIRQ: 1\nGPU UUID: GPU-SECRET\n";
        project.write(&format!("{nvidia}/gpus/{slot}/information"), text);
    }
    project.write("sys/usr/local/cuda/version.json", r#"{"cuda":{"name":"x","version":"12.2.1"}}"#);
    let environment = project.capture();
    assert_eq!(environment.os.as_deref(), Some("Debian GNU/Linux 12"));
    assert_eq!(environment.kernel.as_deref(), Some("6.1.0"));
    assert_eq!(environment.arch.as_deref(), Some("x86_64"));
    assert_eq!(environment.cpu_name().as_deref(), Some("8 x AMD EPYC"));
    assert_eq!(environment.gpu_names(), "2 x NVIDIA A100-SXM4");
    assert_eq!(environment.driver.as_deref(), Some("550.54.14"));
    assert_eq!(environment.cuda.as_deref(), Some("12.2.1"));
}

#[test]
fn cards_of_amd_count_when_their_driver_is_loaded() {
    let mut project = Project::new();
    project.surroundings.system_root = Some(project.path("sys"));
    for (card, vendor) in [("card0", "0x8086"), ("card1", "0x1002"), ("card1-DP-1", "0x1002")] {
        let device = format!("sys/sys/class/drm/{card}/device");
        project.write(&format!("{device}/vendor"), format!("{vendor}\n"));
        project.write(&format!("{device}/device"), "0x74a1\n");
        symlink("../drivers/amdgpu", project.path(&format!("{device}/driver"))).unwrap();
    }
    project.write("sys/sys/module/amdgpu/version", "6.3.6\n");
    let environment = project.capture();
    assert_eq!(
        (environment.gpus.as_slice(), environment.driver.as_deref()),
        (&["AMD 0x74a1".to_owned()][..], Some("6.3.6"))
    );
}

#[test]
fn equal_environments_in_different_places_are_one_object() {
    let id = |project: &Project| id_of(Kind::Blob, &project.capture().encode().unwrap());
    let (one, two) = (Project::new(), Project::new());
    for (name, version) in [("a", "1"), ("b", "2")] {
        one.package(name, version);
    }
    for (name, version) in [("b", "2"), ("a", "1")] {
        two.package(name, version);
    }
    assert_eq!(id(&one), id(&two));
    two.package("c", "3");
    assert_ne!(id(&one), id(&two));
}

#[test]
fn nothing_known_is_empty_and_no_directory_is_an_error() {
    let nowhere = capture(Path::new("/nowhere/at/all"), &Surroundings::default());
    assert!(nowhere.is_empty());
}

fn environment(python: &str, packages: &[(&str, &str)]) -> Environment {
    let packages = packages.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Environment { python: Some(python.into()), packages, ..Environment::default() }
}

fn shown(from: &Environment, to: &Environment) -> Vec<String> {
    let side = |side: &Option<String>| side.clone().unwrap_or("-".into());
    let line =
        |c: &EnvironmentChange| format!("{} {} {} {}", c.kind, c.name, side(&c.from), side(&c.to));
    changes(Some(from), Some(to)).iter().map(line).collect()
}

#[test]
fn changes_are_python_packages_and_the_system_in_this_order() {
    let old = environment("3.11.4", &[("a", "1"), ("b", "1"), ("c", "1")]);
    let mut new = environment("3.12.1", &[("b", "2"), ("c", "1"), ("d", "1")]);
    new.kernel = Some("6.1".into());
    assert_eq!(
        shown(&old, &new),
        [
            "python python 3.11.4 3.12.1",
            "package a 1 -",
            "package b 1 2",
            "package d - 1",
            "system kernel - 6.1",
        ]
    );
    assert_eq!(changes(None, Some(&old)).len(), 4);
    assert!(changes(Some(&old), Some(&old)).is_empty() && changes(None, None).is_empty());
}

#[test]
fn a_version_that_is_known_less_exactly_is_no_change() {
    let at = |version: &str| environment(version, &[]);
    assert!(shown(&at("3.11"), &at("3.11.4")).is_empty());
    assert!(shown(&at("3.11.4"), &at("3.11")).is_empty());
    assert_eq!(shown(&at("3.1"), &at("3.11.4")).len(), 1);
    assert_eq!(shown(&at("3.11.4"), &at("3.11.9")).len(), 1);
}

#[test]
fn one_version_from_two_places_is_a_change() {
    let (old, mut new) = (environment("3.11", &[("a", "1")]), environment("3.11", &[("a", "1")]));
    new.origins.insert("a".into(), "git+https://host/a@12".into());
    assert_eq!(shown(&old, &new), ["package a 1 1 (git+https://host/a@12)"]);
    let build = |build: &str| CondaPackage {
        build: build.into(),
        version: "2".into(),
        ..Default::default()
    };
    let (mut cpu, mut gpu) = (old.clone(), old);
    cpu.conda.insert("torch".into(), build("cpu_0"));
    gpu.conda.insert("torch".into(), build("cuda_0"));
    assert_eq!(shown(&cpu, &gpu), ["package torch 2 (cpu_0) 2 (cuda_0)"]);
}

#[test]
fn an_export_holds_only_what_pip_cannot_take_for_something_else() {
    let mut captured = environment(
        "3.11.4",
        &[
            ("numpy", "1.26.4+cu121"),
            ("a", "1 --index-url https://evil"),
            ("b", "1\n-r /etc/passwd"),
            ("-r evil", "1"),
            ("url", "1"),
            ("spaced", "1"),
            ("option", "1"),
            ("local", "1"),
            ("edit", "1"),
            ("conda", "1"),
        ],
    );
    for (name, origin) in [
        ("url", "git+https://host/u@12"),
        ("spaced", "https://host/a --index-url https://evil"),
        ("option", "--index-url=https://evil"),
        ("local", "-e local"),
        ("edit", "-e ./libs/edit"),
        ("conda", "conda"),
    ] {
        captured.origins.insert(name.into(), origin.into());
    }
    let export = requirements(&captured);
    assert_eq!(
        export.lines,
        ["conda==1", "-e ./libs/edit", "numpy==1.26.4+cu121", "url @ git+https://host/u@12"]
    );
    let left_out: Vec<_> = export.left_out.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(left_out, ["-r evil", "a", "b", "local", "option", "spaced"]);
    let package = |version: &str, channel: &str| CondaPackage {
        build: "h_0".into(),
        channel: channel.into(),
        version: version.into(),
    };
    captured.conda.insert("openssl".into(), package("3.3", "conda-forge\"#x-evil"));
    captured.conda.insert("bad\nname".into(), package("1", ""));
    for (name, channel) in
        [("line", "a\n- evil"), ("del", "a\u{7f}"), ("bidi", "a\u{202e}b"), ("option", "-c")]
    {
        captured.conda.insert(name.into(), package("1", channel));
    }
    let export = conda_environment(&captured);
    let left_out = |name: &str| export.left_out.iter().any(|(left_out, _)| left_out == name);
    assert!(["bad\nname", "line", "del", "bidi", "option"].iter().all(|name| left_out(name)));
    let lines = export.lines;
    assert_eq!(lines[1], r##"  - "conda-forge\"#x-evil""##);
    assert_eq!(lines[2], "dependencies:");
    assert!(lines.iter().all(|line| !line.contains(mv_graph::is_unprintable)), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
    assert!(lines.contains(&"  - \"openssl=3.3=h_0\"".to_owned()), "{lines:?}");
    assert!(lines.contains(&"    - \"numpy==1.26.4+cu121\"".to_owned()), "{lines:?}");
}
