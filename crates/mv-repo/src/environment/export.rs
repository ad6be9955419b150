//! A captured environment as a file that pip or conda install from.
//!
//! What is written is read by a program that follows instructions, and what was captured comes from
//! strangers: only names, versions and addresses of a plain form are written.

use serde_json::Value;

use super::document::Environment;
use super::site::normal_name;

/// The lines of a file, and what could not be written into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// The lines, in order.
    pub lines: Vec<String>,
    /// Packages that are left out, and why.
    pub left_out: Vec<(String, String)>,
}

/// The Python packages as lines of a `requirements.txt`: `name==version`, or `name @ url` for what
/// is not from the index.
#[must_use]
pub fn requirements(environment: &Environment) -> Export {
    let mut export = Export::default();
    for (name, version) in &environment.packages {
        match requirement(environment, name, version) {
            Ok(line) => export.lines.push(line),
            Err(why) => export.left_out.push((name.clone(), why.to_owned())),
        }
    }
    export
}

/// The packages of conda, each with its build, and those that pip added, as the lines of an
/// `environment.yml`.
#[must_use]
pub fn conda_environment(environment: &Environment) -> Export {
    let mut export = Export::default();
    let plain = |text: &str| is_plain(text, "._-+!");
    let mut channels: Vec<&str> = Vec::new();
    let mut specs = Vec::new();
    for (name, package) in &environment.conda {
        let channel = package.channel.as_str();
        if !plain(name)
            || !plain(&package.version)
            || !(package.build.is_empty() || plain(&package.build))
        {
            export
                .left_out
                .push((name.clone(), "its name or version is not of a plain form".into()));
            continue;
        }
        if !is_word(channel) {
            export.left_out.push((name.clone(), "its channel is not of a plain form".into()));
            continue;
        }
        let known = !channel.is_empty() && channel != "local" && channel != "pypi";
        if known && !channels.contains(&channel) {
            channels.push(channel);
        }
        let build =
            if package.build.is_empty() { String::new() } else { format!("={}", package.build) };
        specs.push(format!("{name}={}{build}", package.version));
    }
    let from_conda = |name: &str| {
        environment.origins.get(name).is_some_and(|origin| origin == "conda")
            || environment
                .conda
                .keys()
                .any(|c| c == name || normal_name(c).as_deref() == Some(name))
    };
    let mut from_pip = Vec::new();
    for (name, version) in environment.packages.iter().filter(|(name, _)| !from_conda(name)) {
        match requirement(environment, name, version) {
            Ok(line) => from_pip.push(line),
            Err(why) => export.left_out.push((name.clone(), why.to_owned())),
        }
    }
    // A text of JSON is a text of YAML, whatever is in it.
    let quoted = |text: &str| Value::from(text).to_string();
    let mut lines = vec!["channels:".to_owned()];
    lines.extend(channels.iter().map(|channel| format!("  - {}", quoted(channel))));
    if channels.is_empty() {
        lines.push("  - \"defaults\"".to_owned());
    }
    lines.push("dependencies:".to_owned());
    lines.extend(specs.iter().map(|spec| format!("  - {}", quoted(spec))));
    if !from_pip.is_empty() {
        lines.push("  - \"pip\"".to_owned());
        lines.push("  - \"pip\":".to_owned());
        lines.extend(from_pip.iter().map(|line| format!("    - {}", quoted(line))));
    }
    export.lines = lines;
    export
}

fn requirement(
    environment: &Environment,
    name: &str,
    version: &str,
) -> Result<String, &'static str> {
    if normal_name(name).is_none() || !is_plain(version, "._-+!") {
        return Err("its name or version is not of a plain form");
    }
    let Some(origin) = environment.origins.get(name).filter(|origin| *origin != "conda") else {
        return Ok(format!("{name}=={version}"));
    };
    let (editable, place) = match origin.strip_prefix("-e ") {
        Some(place) => (true, place),
        None => (false, origin.as_str()),
    };
    let word = is_word(place);
    if place.starts_with("./") && word {
        return Ok(if editable { format!("-e {place}") } else { place.to_owned() });
    }
    if place.contains("://") && word {
        return Ok(format!("{name} @ {place}"));
    }
    Err("it was installed from a folder outside of the project")
}

/// One word that is no option: a space would begin another. Nothing in it moves a cursor.
fn is_word(text: &str) -> bool {
    !text.starts_with('-')
        && text.chars().all(|c| !c.is_whitespace() && !mv_graph::is_unprintable(c))
}

fn is_plain(text: &str, also: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}
