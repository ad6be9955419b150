//! What changed at the version that `mv bisect` found, in short.

use mv_graph::{Component, Scalar};
use mv_repo::diff::{DiffOutcome, ScalarChange};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use crate::format;
use crate::ui::{Role, Ui};

/// Names shown of the files of one component.
const SHOWN: usize = 4;

/// The changes for `--json`.
#[derive(Serialize)]
pub(crate) struct ChangesDocument<'a> {
    from: Option<String>,
    to: Option<String>,
    components: Counts<'a>,
    params: Vec<ValueDocument<'a>>,
    metrics: Vec<ValueDocument<'a>>,
}

/// How many files of each component differ.
struct Counts<'a>(&'a DiffOutcome);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        for component in Component::ALL {
            let count = mv_repo::bisect::files_changed(self.0, component);
            map.serialize_entry(component.as_str(), &count)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct ValueDocument<'a> {
    name: &'a str,
    from: Option<Value>,
    to: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Number>,
}

impl<'a> From<&'a ScalarChange> for ValueDocument<'a> {
    fn from(change: &'a ScalarChange) -> ValueDocument<'a> {
        ValueDocument {
            name: &change.name,
            from: change.from.as_ref().map(Scalar::to_json),
            to: change.to.as_ref().map(Scalar::to_json),
            delta: delta(change).and_then(Number::from_f64),
        }
    }
}

impl<'a> From<&'a DiffOutcome> for ChangesDocument<'a> {
    fn from(found: &'a DiffOutcome) -> ChangesDocument<'a> {
        ChangesDocument {
            from: found.from.id.map(|id| id.to_hex()),
            to: found.to.id.map(|id| id.to_hex()),
            components: Counts(found),
            params: found.params.iter().map(Into::into).collect(),
            metrics: found.metrics.iter().map(Into::into).collect(),
        }
    }
}

/// Prints them below a title.
pub(crate) fn print(ui: &Ui<'_>, found: &DiffOutcome, since: &str) {
    let title = format!("what changed since {}", format::text(since));
    ui.line(ui.paint.paint(Role::Heading, title));
    let mut same = true;
    for component in Component::ALL {
        let paths: Vec<String> = found
            .changes
            .iter()
            .filter(|c| c.component == component)
            .map(|c| c.path.display_escaped())
            .collect();
        if paths.is_empty() {
            continue;
        }
        same = false;
        let count = format::count(paths.len() as u64, "file");
        let more = if paths.len() > SHOWN { ", …" } else { "" };
        let shown = paths[..paths.len().min(SHOWN)].join(", ");
        ui.line(format!("  {:<8} {count}: {shown}{more}", component.as_str()));
    }
    for (title, changes) in [("param", &found.params), ("metric", &found.metrics)] {
        for change in changes {
            same = false;
            let text = |value: &Option<Scalar>| {
                value.as_ref().map_or_else(|| "-".to_owned(), |v| format::text(&v.to_string()))
            };
            let delta = delta(change).filter(|d| d.is_finite());
            let delta = delta.map(|d| format!(" ({})", format::signed(d))).unwrap_or_default();
            let name = format::text(&change.name);
            let (from, to) = (text(&change.from), text(&change.to));
            ui.line(format!("  {title:<8} {name} {from} -> {to}{delta}"));
        }
    }
    if same {
        ui.line("  nothing that is recorded");
    }
}

fn delta(change: &ScalarChange) -> Option<f64> {
    Some(change.to.as_ref()?.as_f64()? - change.from.as_ref()?.as_f64()?)
}
