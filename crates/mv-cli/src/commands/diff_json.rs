//! The document of `mv diff --json`.

use mv_formats::{Column, TableDiff, Tensor, TensorStats};
use mv_graph::diff::Change;
use mv_graph::{Component, FileEntry, Manifest, RepoPath, Scalar};
use mv_repo::diff::{
    DiffSide, ModelSummary, Opaque, ScalarChange, SuggestedBump, TensorChange, TensorChangeKind,
    TextChange, View, bytes_of,
};
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::{Number, Value, json};

use crate::commands::diff::Inside;
use crate::commands::diff_words as words;
use crate::failure::Result;
use crate::json::{self, EnvironmentChangeDocument, PathDocument};
use crate::text_diff;
use crate::ui::{Paint, Ui};

#[derive(Serialize)]
struct Document<'a, E, P, M> {
    from: Option<String>,
    to: Option<String>,
    from_label: &'a str,
    to_label: &'a str,
    seconds_between: Option<i64>,
    components: Parts<'a>,
    files: Vec<FileDocument>,
    environment: E,
    params: P,
    metrics: M,
    metadata: Vec<NoteDocument<'a>>,
    suggested_bump: Option<BumpDocument<'a>>,
}

#[derive(Serialize)]
struct BumpDocument<'a> {
    kind: &'a str,
    reason: &'a str,
}

impl<'a> From<&'a SuggestedBump> for BumpDocument<'a> {
    fn from(bump: &'a SuggestedBump) -> BumpDocument<'a> {
        BumpDocument { kind: &bump.kind, reason: &bump.reason }
    }
}

/// One file. Keys that say what is inside are there only when that is known.
#[derive(Serialize)]
struct FileDocument {
    #[serde(flatten)]
    path: PathDocument,
    component: &'static str,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<u8>,
    from: Option<EntryDocument>,
    to: Option<EntryDocument>,
    #[serde(flatten)]
    inside: InsideDocument,
}

/// One side of a changed file; the path when it is another one than the file's.
#[derive(Serialize)]
struct EntryDocument {
    id: String,
    bytes: u64,
    mode: &'static str,
    #[serde(flatten)]
    path: Option<PathDocument>,
}

impl EntryDocument {
    fn new(entry: &FileEntry, path: Option<&RepoPath>) -> EntryDocument {
        EntryDocument {
            id: entry.id.to_hex(),
            bytes: entry.bytes,
            mode: entry.mode.as_str(),
            path: path.map(PathDocument::from),
        }
    }
}

/// What a look inside the file gave.
#[derive(Default, Serialize)]
struct InsideDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<TensorDocument>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged_tensors: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Value>,
}

impl From<View> for InsideDocument {
    fn from(view: View) -> InsideDocument {
        let none = InsideDocument::default();
        match view {
            View::Same => none,
            View::Text { from, to } => {
                let (_, counts) = text_diff::unified(&from, &to, 0, Paint::plain());
                let lines = json!({ "added": counts.added, "removed": counts.removed });
                InsideDocument { lines: Some(lines), ..none }
            }
            View::Model(model) => {
                let both = model.from.is_some() && model.to.is_some();
                let parameters = |side: &Option<ModelSummary>| side.as_ref().map(|s| s.parameters);
                let ports = model.ports.iter().map(|note| ("port", note));
                let notes = ports.chain(model.metadata.iter().map(|note| ("metadata", note)));
                InsideDocument {
                    format: Some(model.format.as_str()),
                    tensors: both.then(|| model.tensors.iter().map(Into::into).collect()),
                    unchanged_tensors: both.then_some(model.unchanged),
                    parameters: Some(json!({
                        "from": parameters(&model.from),
                        "to": parameters(&model.to),
                    })),
                    notes: notes.map(|(kind, n)| json!({ "kind": kind, "name": n.name, "from": n.from, "to": n.to })).collect(),
                    ..none
                }
            }
            View::Table(diff) => InsideDocument { table: Some(table(&diff)), ..none },
            View::Opaque(opaque) if opaque == Opaque::default() => none,
            View::Opaque(opaque) => {
                let content = json!({ "from": opaque.from, "to": opaque.to, "why": opaque.why });
                InsideDocument { content: Some(content), ..none }
            }
        }
    }
}

fn table(diff: &TableDiff) -> Value {
    let columns = |all: &[Column]| -> Value {
        all.iter().map(|c| json!({ "name": c.name, "kind": c.kind })).collect()
    };
    let retyped: Value = diff
        .columns_retyped
        .iter()
        .map(|c| json!({ "name": c.name, "from": c.from, "to": c.to }))
        .collect();
    json!({
        "format": diff.format.as_str(),
        "rows_added": diff.rows_added,
        "rows_removed": diff.rows_removed,
        "rows_before": diff.rows_before,
        "rows_after": diff.rows_after,
        "columns_added": columns(&diff.columns_added),
        "columns_removed": columns(&diff.columns_removed),
        "columns_retyped": retyped,
        "row_groups_before": diff.row_groups.map(|g| g.0),
        "row_groups_after": diff.row_groups.map(|g| g.1),
    })
}

/// One tensor that differs. Numbers that are infinite are null.
#[derive(Serialize)]
struct TensorDocument {
    name: String,
    change: &'static str,
    from: Option<Value>,
    to: Option<Value>,
    #[serde(flatten)]
    stats: Option<StatsDocument>,
}

#[derive(Serialize)]
struct StatsDocument {
    relative_l2: f64,
    changed_share: f64,
    cosine: f64,
}

impl From<TensorStats> for StatsDocument {
    fn from(stats: TensorStats) -> StatsDocument {
        let TensorStats { relative_l2, changed, cosine } = stats;
        StatsDocument { relative_l2, changed_share: changed, cosine }
    }
}

impl From<&TensorChange> for TensorDocument {
    fn from(change: &TensorChange) -> TensorDocument {
        let renamed = change.kind == TensorChangeKind::Renamed;
        let side = |t: &Tensor, named: bool| {
            let mut side =
                json!({ "dtype": t.dtype.to_string(), "shape": t.shape, "bytes": bytes_of(t) });
            if named && let Value::Object(side) = &mut side {
                side.insert("name".to_owned(), t.name.as_str().into());
            }
            side
        };
        TensorDocument {
            name: change.name().to_owned(),
            change: change.kind.as_str(),
            from: change.from.as_ref().map(|t| side(t, renamed)),
            to: change.to.as_ref().map(|t| side(t, false)),
            stats: change.stats.map(Into::into),
        }
    }
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
pub(crate) fn print(ui: &Ui<'_>, inside: &Inside<'_>) -> Result<()> {
    let found = inside.found;
    let side = |side: &DiffSide| side.id.map(|id| inside.repo.manifest(&id)).transpose();
    let parts = Parts { from: side(&found.from)?, to: side(&found.to)?, changes: &found.changes };
    let look = |change| Ok(file(inside, change, inside.view(change)?));
    let files: Vec<FileDocument> = found.changes.iter().map(look).collect::<Result<_>>()?;
    ui.document(&Document {
        from: found.from.id.map(|id| id.to_hex()),
        to: found.to.id.map(|id| id.to_hex()),
        from_label: &found.from.label,
        to_label: &found.to.label,
        seconds_between: words::seconds_between(found),
        components: parts,
        files,
        environment: json::array(found.environment.iter().map(EnvironmentChangeDocument::from)),
        params: json::array(found.params.iter().map(ParamDocument::from)),
        metrics: json::array(
            found.metrics.iter().map(|m| MetricDocument { value: m.into(), delta: delta(m) }),
        ),
        metadata: found.metadata.iter().map(NoteDocument::from).collect(),
        suggested_bump: found.suggested_bump.as_ref().map(Into::into),
    })
}

fn file(inside: &Inside<'_>, change: &Change, view: View) -> FileDocument {
    let rename = inside.found.rename_of(change);
    let from_path = rename.map(|rename| &rename.from);
    FileDocument {
        path: PathDocument::from(&change.path),
        component: change.component.as_str(),
        change: words::kind(inside.found, change),
        similarity: rename.map(|rename| rename.similarity),
        from: change.from.as_ref().map(|entry| EntryDocument::new(entry, from_path)),
        to: change.to.as_ref().map(|entry| EntryDocument::new(entry, None)),
        inside: view.into(),
    }
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
