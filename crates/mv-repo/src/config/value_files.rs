//! Which files params and metrics are read from, as `mv.toml` names them.
//!
//! ```text
//! [params]
//! files = ["params.yaml", "conf/train.toml"]
//! ```

use mv_graph::RepoPath;
use serde::Deserialize;

use super::PROJECT_FILE;
use crate::error::{Error, Result};

/// The files that params are read from when `mv.toml` names none.
pub(super) const PARAMS: [&str; 5] =
    ["params.yaml", "params.yml", "params.json", "params.toml", "dvclive/params.yaml"];
/// The files that metrics are read from when `mv.toml` names none.
pub(super) const METRICS: [&str; 5] =
    ["metrics.json", "metrics.yaml", "metrics.yml", "metrics.toml", "dvclive/metrics.json"];
/// No more files of one kind may be named.
const MAX_FILES: usize = 64;

/// A file of params or metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFile {
    /// Where it is.
    pub path: RepoPath,
    /// What it is written in.
    pub format: ValueFormat,
}

/// What a file of values is written in: its name's ending says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueFormat {
    /// `.json`, with `NaN` and `Infinity` as Python writes them.
    Json,
    /// `.toml`
    Toml,
    /// `.yaml` or `.yml`
    Yaml,
}

/// A section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFiles {
    files: Vec<String>,
}

/// The files that a section names, or else the usual ones.
pub(super) fn value_files(
    section: &str,
    named: Option<RawFiles>,
    usual: &[&str],
) -> Result<Vec<ValueFile>> {
    let refused = |detail: String| {
        Error::invalid(format!("`{PROJECT_FILE}`"), format!("`{section}.files`: {detail}"))
    };
    let named = match named {
        Some(section) => section.files,
        None => usual.iter().map(|name| (*name).to_owned()).collect(),
    };
    if named.len() > MAX_FILES {
        return Err(refused(format!("there are more than {MAX_FILES}")));
    }
    let file = |name: &String| {
        let path = RepoPath::from_bytes(name.as_bytes())
            .map_err(|why| refused(format!("`{name}`: {why}")))?;
        let format = ValueFormat::of(name).ok_or_else(|| {
            refused(format!("`{name}` does not end in .yaml, .yml, .json or .toml"))
        })?;
        Ok(ValueFile { path, format })
    };
    named.iter().map(file).collect()
}

impl ValueFormat {
    fn of(name: &str) -> Option<ValueFormat> {
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "json" => Some(ValueFormat::Json),
            "toml" => Some(ValueFormat::Toml),
            "yaml" | "yml" => Some(ValueFormat::Yaml),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ProjectConfig;

    fn params(text: &str) -> Result<Vec<String>, String> {
        let parsed = ProjectConfig::parse(text.as_bytes()).map_err(|e| e.to_string())?;
        Ok(parsed.params.iter().map(|f| f.path.to_string()).collect())
    }

    #[test]
    fn without_a_section_the_usual_names_are_meant_and_an_empty_list_is_none() {
        assert_eq!(params("").unwrap(), super::PARAMS);
        assert_eq!(params("[metrics]\nfiles = []").unwrap(), super::PARAMS);
        assert!(params("[params]\nfiles = []").unwrap().is_empty());
        assert_eq!(params("[params]\nfiles = [\"conf/a.YML\"]").unwrap(), ["conf/a.YML"]);
    }

    #[test]
    fn the_examples_in_the_file_that_init_writes_are_the_usual_names() {
        let written =
            ProjectConfig::default_toml("x").replace("# [", "[").replace("# files", "files");
        assert!(written.contains("\n[params]\nfiles") && written.contains("\n[metrics]\nfiles"));
        let parsed = ProjectConfig::parse(written.as_bytes()).unwrap();
        let usual = ProjectConfig::default();
        assert_eq!((parsed.params, parsed.metrics), (usual.params, usual.metrics));
    }

    #[test]
    fn names_that_leave_the_project_or_have_no_known_ending_are_refused() {
        let too_many = format!("[params]\nfiles = [{}]", "\"a.json\",".repeat(65));
        for text in [
            "[params]\nfiles = [\"../params.yaml\"]",
            "[params]\nfiles = [\"/etc/params.yaml\"]",
            "[params]\nfiles = [\".mv/config.toml\"]",
            "[params]\nfiles = [\"params.py\"]",
            "[params]\nfiles = [\"json\"]",
            "[params]\nfiles = \"params.yaml\"",
            "[params]\nfile = []",
            "[params]",
            &too_many,
        ] {
            let error = params(text).unwrap_err();
            assert!(error.contains("`mv.toml`") && !error.contains('\n'), "{error}");
        }
    }
}
