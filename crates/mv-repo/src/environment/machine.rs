//! The machine: operating system, processor, graphics processors and their driver, from the files
//! in which Linux tells them. What is not there is not known.

use std::fs;
use std::path::{Path, PathBuf};

use super::document::Environment;
use super::look;
use crate::surroundings::Surroundings;

const MAX_FILE: usize = 64 << 10;
/// The part of `/proc/cpuinfo` that tells the first processor: of many it is long and slow.
const MAX_CPU: usize = 4 << 10;
const MAX_GPUS: usize = 64;
/// The number of AMD in PCI.
const AMD: &str = "0x1002";

/// Fills in everything but Python.
pub(super) fn describe(surroundings: &Surroundings, environment: &mut Environment) {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let machine = &surroundings.machine;
    environment.os = known(&machine.system);
    environment.kernel = known(&machine.release);
    environment.arch = known(&machine.arch);
    let Some(root) = surroundings.system_root.as_deref() else { return };
    environment.os = os_name(root).or(environment.os.take());
    environment.cpu = cpu_model(root);
    environment.cpus = cpu_count(root);
    let nvidia = root.join("proc/driver/nvidia");
    environment.gpus = nvidia_models(&nvidia);
    environment.driver = nvidia_driver(&nvidia);
    let amd = amd_models(root);
    if !amd.is_empty() {
        environment.gpus.extend(amd);
        let driver = first_line(&root.join("sys/module/amdgpu/version"));
        environment.driver = environment.driver.take().or(driver);
    }
    environment.gpus.truncate(MAX_GPUS);
    environment.cuda = cuda_version(root);
}

fn os_name(root: &Path) -> Option<String> {
    let places = ["etc/os-release", "usr/lib/os-release"];
    let text = places.iter().find_map(|place| look::text(&root.join(place), MAX_FILE))?;
    let name = look::setting(&text, "PRETTY_NAME").or(look::setting(&text, "NAME"))?;
    tidy(name.trim_matches(['"', '\'']))
}

/// `model name` of x86; of ARM the numbers of its maker and part.
fn cpu_model(root: &Path) -> Option<String> {
    let text = look::text(&root.join("proc/cpuinfo"), MAX_CPU)?;
    let value = |key: &str| {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        let mut values = pairs.filter(|(k, _)| k.trim() == key).filter_map(|(_, v)| tidy(v));
        values.next()
    };
    let arm = || Some(format!("{} part {}", value("CPU implementer")?, value("CPU part")?));
    value("model name").or_else(|| value("cpu model")).or_else(arm)
}

/// `0-7` or `0-3,8-11`.
fn cpu_count(root: &Path) -> Option<u32> {
    let text = first_line(&root.join("sys/devices/system/cpu/present"))?;
    let ranges = text.split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    ranges.sum()
}

fn nvidia_models(dir: &Path) -> Vec<String> {
    let gpus = dir.join("gpus");
    let files = look::names(&gpus).into_iter().map(|slot| gpus.join(slot).join("information"));
    let texts = files.filter_map(|file| look::text(&file, MAX_FILE));
    let models = texts.filter_map(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("Model:"))?.to_owned();
        tidy(&line)
    });
    models.take(MAX_GPUS).collect()
}

/// The first number of the line that begins with `NVRM version`.
fn nvidia_driver(dir: &Path) -> Option<String> {
    let text = look::text(&dir.join("version"), MAX_FILE)?;
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    let is_version =
        |word: &&str| word.contains('.') && word.split('.').all(|n| n.parse::<u32>().is_ok());
    line.split_whitespace().find(is_version).map(str::to_owned)
}

fn amd_models(root: &Path) -> Vec<String> {
    let drm = root.join("sys/class/drm");
    let is_card = |name: &str| {
        name.strip_prefix("card").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
    };
    let names = look::names(&drm);
    let cards = names.iter().filter(|name| name.to_str().is_some_and(is_card));
    let devices = cards.map(|card| drm.join(card).join("device"));
    let ours = devices.filter(|device| {
        first_line(&device.join("vendor")).is_some_and(|vendor| vendor == AMD)
            && driver_of(device).is_some_and(|driver| driver.ends_with("amdgpu"))
    });
    let model = |device: PathBuf| {
        let name = first_line(&device.join("product_name"));
        let number = || Some(format!("AMD {}", first_line(&device.join("device"))?));
        name.or_else(number)
    };
    ours.filter_map(model).take(MAX_GPUS).collect()
}

fn driver_of(device: &Path) -> Option<PathBuf> {
    fs::read_link(device.join("driver")).ok()
}

fn cuda_version(root: &Path) -> Option<String> {
    let dir = root.join("usr/local/cuda");
    let from_json = || {
        let bytes = look::head(&dir.join("version.json"), MAX_FILE)?;
        let document: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        tidy(document.get("cuda")?.get("version")?.as_str()?)
    };
    let from_text = || tidy(first_line(&dir.join("version.txt"))?.strip_prefix("CUDA Version ")?);
    from_json().or_else(from_text)
}

fn first_line(path: &Path) -> Option<String> {
    tidy(look::text(path, MAX_FILE)?.lines().next()?)
}

/// Words with single spaces between them, at most 200 bytes; none for nothing.
fn tidy(text: &str) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then(|| super::site::cut(&text, 200))
}
