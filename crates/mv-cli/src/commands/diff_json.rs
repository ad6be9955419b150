//! The document of `mv diff --json`.

use mv_graph::diff::Change;
use mv_graph::{Component, Manifest, Scalar};
use mv_repo::Repo;
use mv_repo::diff::{DiffOutcome, DiffSide, ScalarChange, TextChange};
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::{Number, Value};

use crate::failure::Result;
use crate::json::{self, FileDocument};
use crate::ui::Ui;

#[derive(Serialize)]
struct Document<'a, F, P, M> {
    from: Option<String>,
    to: Option<String>,
    from_label: &'a str,
    to_label: &'a str,
    seconds_between: Option<i64>,
    components: Parts<'a>,
    files: F,
    /// Packages; filled when environments are captured.
    environment: [u8; 0],
    params: P,
    metrics: M,
    metadata: Vec<NoteDocument<'a>>,
    /// Filled when model files are read.
    suggested_bump: Option<u8>,
}

#[derive(Serialize)]
struct NoteDocument<'a> {
    name: &'a str,
    from: Option<&'a str>,
    to: Option<&'a str>,
}

impl<'a> From<&'a TextChange> for NoteDocument<'a> {
    fn from(change: &'a TextChange) -> NoteDocument<'a> {
        NoteDocument { name: &change.name, from: change.from.as_deref(), to: change.to.as_deref() }
    }
}

#[derive(Serialize)]
struct ParamDocument<'a> {
    name: &'a str,
    from: Option<Value>,
    to: Option<Value>,
}

#[derive(Serialize)]
struct MetricDocument<'a> {
    #[serde(flatten)]
    value: ParamDocument<'a>,
    delta: Option<Number>,
}

impl<'a> From<&'a ScalarChange> for ParamDocument<'a> {
    fn from(change: &'a ScalarChange) -> ParamDocument<'a> {
        let json = |v: &Option<Scalar>| v.as_ref().map(Scalar::to_json);
        ParamDocument { name: &change.name, from: json(&change.from), to: json(&change.to) }
    }
}

/// The tree of each component on both sides; a working tree has no trees.
struct Parts<'a> {
    from: Option<Manifest>,
    to: Option<Manifest>,
    changes: &'a [Change],
}

impl Serialize for Parts<'_> {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Part {
            from: Option<String>,
            to: Option<String>,
            changed: bool,
        }
        let mut map = serializer.serialize_map(Some(4))?;
        for component in Component::ALL {
            let tree = |side: &Option<Manifest>| {
                side.as_ref().map(|m| m.component(component).tree.to_hex())
            };
            let changed = self.changes.iter().any(|c| c.component == component);
            map.serialize_entry(
                component.as_str(),
                &Part { from: tree(&self.from), to: tree(&self.to), changed },
            )?;
        }
        map.end()
    }
}

/// Prints it.
pub(crate) fn print(ui: &Ui<'_>, repo: &Repo, found: &DiffOutcome) -> Result<()> {
    let side = |side: &DiffSide| side.id.map(|id| repo.manifest(&id)).transpose();
    let parts = Parts { from: side(&found.from)?, to: side(&found.to)?, changes: &found.changes };
    let seconds = match (found.from.created, found.to.created) {
        (Some(from), Some(to)) => Some((to.ns.saturating_sub(from.ns)) / 1_000_000_000),
        _ => None,
    };
    ui.document(&Document {
        from: found.from.id.map(|id| id.to_hex()),
        to: found.to.id.map(|id| id.to_hex()),
        from_label: &found.from.label,
        to_label: &found.to.label,
        seconds_between: seconds,
        components: parts,
        files: json::array(found.changes.iter().map(FileDocument::from)),
        environment: [],
        params: json::array(found.params.iter().map(ParamDocument::from)),
        metrics: json::array(
            found.metrics.iter().map(|m| MetricDocument { value: m.into(), delta: delta(m) }),
        ),
        metadata: found.metadata.iter().map(NoteDocument::from).collect(),
        suggested_bump: None,
    })
}

/// How much a number moved; whole when both sides are.
pub(crate) fn delta(change: &ScalarChange) -> Option<Number> {
    match (change.from.as_ref()?, change.to.as_ref()?) {
        (Scalar::Int(from), Scalar::Int(to)) => Some(to.checked_sub(*from)?.into()),
        (from, to) => Number::from_f64(to.as_f64()? - from.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(from: &str, to: &str) -> ScalarChange {
        ScalarChange {
            name: "x".into(),
            from: Some(Scalar::parse(from)),
            to: Some(Scalar::parse(to)),
        }
    }

    #[test]
    fn only_numbers_have_a_delta() {
        assert_eq!(delta(&change("3", "5")), Some(2.into()));
        assert_eq!(delta(&change("0.5", "1")), Number::from_f64(0.5));
        assert_eq!(delta(&change("a", "1")), None);
        assert_eq!(delta(&change("nan", "1")), None);
    }
}
