//! What the user configures: `mv.toml` in the project, and `.mv/config.toml` on this machine.
//!
//! [`ProjectConfig`] is versioned with the project and says what belongs to which component.
//! [`LocalConfig`] never leaves the machine. Both refuse keys they do not know, by name, and
//! neither can name anything to execute. Reading the patterns is left to `worktree::components`.

mod local;
mod policy;
mod value_files;

use std::collections::BTreeMap;
use std::path::Path;

use mv_graph::Component;
use mv_store::Effort;
use mv_store::fs::read_capped;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use local::LocalConfig;
pub(crate) use local::RemoteConfig;
pub use policy::{Bound, StagePolicy, Tolerance};
use value_files::{METRICS, PARAMS, RawFiles, value_files};
pub use value_files::{ValueFile, ValueFormat};

use crate::error::{Error, Result};

/// The file beside `.mv` that describes the project.
pub const PROJECT_FILE: &str = "mv.toml";

/// No configuration file is larger.
pub const MAX_CONFIG: u64 = 1 << 20;

const TEMPLATE: &str = include_str!("config/mv.toml");

/// A parsed `mv.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectConfig {
    /// The name of the model; empty when the file names none.
    pub name: String,
    /// Which patterns make a path part of which component; the first rule that matches wins.
    pub components: Vec<ComponentRule>,
    /// The files that params are read from; of two that give the same name the later counts.
    pub params: Vec<ValueFile>,
    /// The files that metrics are read from, likewise.
    pub metrics: Vec<ValueFile>,
    /// Rules for promoting a version, by stage; `*` is for every stage.
    pub stages: BTreeMap<String, StagePolicy>,
    /// How much work a commit does to store each component small, by [`Component::index`].
    pub efforts: [Effort; 4],
}

/// One `[[component]]` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentRule {
    /// Where a matching path belongs.
    pub component: Component,
    /// Patterns with the grammar of `.gitignore`.
    pub patterns: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProject {
    #[serde(default)]
    project: RawNames,
    component: Option<Vec<RawRule>>,
    params: Option<RawFiles>,
    metrics: Option<RawFiles>,
    #[serde(default)]
    stage: BTreeMap<String, policy::RawPolicy>,
    #[serde(default)]
    storage: RawStorage,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStorage {
    code: RawEffort,
    data: RawEffort,
    model: RawEffort,
    env: RawEffort,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawEffort {
    Fast,
    #[default]
    Normal,
    Best,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNames {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: RawComponent,
    patterns: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawComponent {
    Code,
    Data,
    Model,
    Env,
}

impl ProjectConfig {
    /// Parses the bytes of a `mv.toml`. Without any `[[component]]` block the default rules hold.
    ///
    /// # Errors
    /// `Invalid`, naming the file, the line and the key.
    pub fn parse(bytes: &[u8]) -> Result<ProjectConfig> {
        let raw: RawProject = parse_toml(bytes, PROJECT_FILE)?;
        if raw.project.name.chars().any(char::is_control) {
            return Err(Error::invalid(
                format!("`{PROJECT_FILE}`"),
                "`project.name` has a control character",
            ));
        }
        let components = match raw.component {
            None => ProjectConfig::default().components,
            Some(rules) => rules.into_iter().map(ComponentRule::from).collect(),
        };
        Ok(ProjectConfig {
            name: raw.project.name,
            components,
            params: value_files("params", raw.params, &PARAMS)?,
            metrics: value_files("metrics", raw.metrics, &METRICS)?,
            stages: policy::parse(raw.stage)?,
            efforts: raw.storage.efforts(),
        })
    }

    /// Reads `mv.toml` in the project's root; none when there is no such file.
    ///
    /// # Errors
    /// As [`ProjectConfig::parse`]; `Invalid` over 1 MiB; `Io`.
    pub fn read(root: &Path) -> Result<Option<ProjectConfig>> {
        read_file(&root.join(PROJECT_FILE))?.map(|bytes| Self::parse(&bytes)).transpose()
    }

    /// The rules that hold for a stage: those for every stage, then its own.
    pub fn policies(&self, stage: &str) -> impl Iterator<Item = &StagePolicy> {
        [policy::EVERY, stage].into_iter().filter_map(|name| self.stages.get(name))
    }

    /// The commented file that `mv init` writes: the default rules under the given name.
    #[must_use]
    pub fn default_toml(name: &str) -> String {
        TEMPLATE.replacen("@NAME@", &toml::Value::from(name).to_string(), 1)
    }
}

impl Default for ProjectConfig {
    /// The rules of the file that `mv init` writes, without a name.
    fn default() -> ProjectConfig {
        let raw: RawProject =
            toml::from_str(&Self::default_toml("")).expect("the built-in mv.toml is valid");
        let rules = raw.component.unwrap_or_default();
        ProjectConfig {
            name: String::new(),
            components: rules.into_iter().map(ComponentRule::from).collect(),
            params: value_files("params", None, &PARAMS).expect("these are paths"),
            metrics: value_files("metrics", None, &METRICS).expect("these are paths"),
            stages: BTreeMap::new(),
            efforts: [Effort::Normal; 4],
        }
    }
}

impl RawStorage {
    fn efforts(&self) -> [Effort; 4] {
        Component::ALL.map(|component| {
            let effort = match component {
                Component::Code => self.code,
                Component::Data => self.data,
                Component::Model => self.model,
                Component::Env => self.env,
            };
            match effort {
                RawEffort::Fast => Effort::Fast,
                RawEffort::Normal => Effort::Normal,
                RawEffort::Best => Effort::Best,
            }
        })
    }
}

impl From<RawRule> for ComponentRule {
    fn from(raw: RawRule) -> ComponentRule {
        let component = match raw.name {
            RawComponent::Code => Component::Code,
            RawComponent::Data => Component::Data,
            RawComponent::Model => Component::Model,
            RawComponent::Env => Component::Env,
        };
        ComponentRule { component, patterns: raw.patterns }
    }
}

/// Reads a configuration file that may be absent. It must be a regular file: one that came with
/// somebody else's repository could point anywhere.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    read_capped(path, MAX_CONFIG).map_err(|e| match e {
        mv_store::Error::Corrupt { detail, .. } => {
            Error::invalid(format!("`{}`", path.display()), detail)
        }
        other => other.into(),
    })
}

/// Parses TOML with an error of one line: file, line, key.
fn parse_toml<T: DeserializeOwned>(bytes: &[u8], file: &str) -> Result<T> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::invalid(format!("`{file}`"), format!("not UTF-8: {e}")))?;
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let message = e.message();
        let before = e.span().and_then(|span| text.get(..span.start));
        Error::invalid(
            format!("`{file}`"),
            match before {
                Some(before) => {
                    format!("line {}: {message}", 1 + before.matches('\n').count())
                }
                None => message.to_owned(),
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_has_its_own_effort() {
        let text = b"[storage]\nmodel = \"fast\"\ndata = \"best\"\n";
        let parsed = ProjectConfig::parse(text).unwrap();
        let effort = |component: Component| parsed.efforts[component.index()];
        assert_eq!(effort(Component::Model), Effort::Fast);
        assert_eq!(effort(Component::Data), Effort::Best);
        assert_eq!(effort(Component::Code), Effort::Normal);
        assert!(ProjectConfig::parse(b"[storage]\nmodel = \"tiny\"\n").is_err());
    }

    #[test]
    fn the_file_that_init_writes_parses_to_the_default_rules() {
        let name = "churn \"v2\" \\ ünï";
        let parsed = ProjectConfig::parse(ProjectConfig::default_toml(name).as_bytes()).unwrap();
        assert_eq!(parsed.name, name);
        assert_eq!(parsed.components, ProjectConfig::default().components);
        assert_eq!(parsed.components.len(), 4);
    }

    #[test]
    fn the_example_of_a_stage_in_that_file_is_what_it_says() {
        let text = ProjectConfig::default_toml("x");
        let (_, example) = text.split_once("# [stage.production]\n").unwrap();
        let lines: Vec<&str> = example.lines().map(|line| line.trim_start_matches("# ")).collect();
        let rules: Vec<&str> = lines.into_iter().filter(|line| line.contains(" = ")).collect();
        let text = format!("[stage.production]\n{}", rules.join("\n"));
        let parsed = ProjectConfig::parse(text.as_bytes()).unwrap();
        let policy = parsed.policies("production").next().unwrap();
        assert!(policy.require_semver && policy.require[0].1.holds(0.9));
        assert_eq!((policy.require.len(), policy.no_worse.len()), (2, 2));
        assert_eq!(parsed.policies("staging").count(), 0);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_with_file_and_line() {
        for (text, key, line) in [
            ("[project]\nname = \"x\"\ncolour = 3\n", "colour", "line 3"),
            ("[[component]]\nname = \"data\"\npatterns = []\nmode = 1\n", "mode", "line 4"),
            ("[hooks]\npost-checkout = \"rm\"\n", "hooks", "line 1"),
        ] {
            let message = ProjectConfig::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(&format!("`{key}`")), "{message}");
            assert!(message.contains("`mv.toml`") && message.contains(line), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn an_unknown_component_and_a_wrong_type_are_refused() {
        for text in [
            "[[component]]\nname = \"weights\"\npatterns = []",
            "[[component]]\nname = \"data\"\npatterns = \"*.csv\"",
            "[[component]]\nname = \"data\"",
            "[project]\nname = \"a\\u001bb\"",
        ] {
            assert!(matches!(ProjectConfig::parse(text.as_bytes()), Err(Error::Invalid { .. })));
        }
    }

    #[test]
    fn a_file_without_component_blocks_keeps_the_defaults_and_an_empty_list_has_none() {
        let parsed = ProjectConfig::parse(b"[project]\nname = \"x\"\n").unwrap();
        assert_eq!(parsed.components, ProjectConfig::default().components);
        assert!(ProjectConfig::parse(b"component = []").unwrap().components.is_empty());
    }

    #[test]
    fn an_absent_file_is_none_and_a_huge_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ProjectConfig::read(dir.path()).unwrap(), None);
        std::fs::write(dir.path().join(PROJECT_FILE), vec![b'#'; (1 << 20) + 1]).unwrap();
        assert!(ProjectConfig::read(dir.path()).is_err());
    }
}
