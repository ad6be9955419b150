//! `mv du`: what the history takes, before and after sharing and compression.

use mv_graph::Component;
use mv_repo::du::{Du, DuPart, DuVersion, du};
use mv_store::{Encoding, Encodings};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::context::Context;
use crate::failure::Result;
use crate::format;
use crate::json::ByEncoding;
use crate::table::Table;

/// Show what the history takes on disk
///
/// Logical is the sum over all versions, unique counts equal content once, stored is what it takes in
/// packs; packs that others replaced take their room until `mv gc` deletes them. What two versions share
/// counts for the older one. Encodings tell how the unique bytes are stored:
/// `float` are numbers by themselves, `delta` numbers against those of another version, `cast` numbers that
/// are others rounded, `diff` any bytes against another version, `columns` tables by column, `zstd` and `raw`
/// the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv du\n  mv du --versions\n  mv du --json | jq .stored_bytes")]
pub(crate) struct Args {
    /// Show every version, newest first
    #[arg(long)]
    versions: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    versions: u64,
    logical_bytes: u64,
    unique_bytes: u64,
    stored_bytes: u64,
    retired_bytes: u64,
    objects: u64,
    packs: u64,
    by_component: Parts<'a>,
    by_encoding: ByEncoding<'a>,
    by_version: Vec<VersionDocument<'a>>,
}

#[derive(Serialize)]
struct PartDocument<'a> {
    logical_bytes: u64,
    unique_bytes: u64,
    stored_bytes: u64,
    by_encoding: ByEncoding<'a>,
}

#[derive(Serialize)]
struct VersionDocument<'a> {
    id: String,
    version: &'a str,
    subject: &'a str,
    #[serde(flatten)]
    sizes: PartDocument<'a>,
}

struct Parts<'a>(&'a [(Component, DuPart)]);

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (component, part) in self.0 {
            map.serialize_entry(component.as_str(), &PartDocument::from(part))?;
        }
        map.end()
    }
}

impl<'a> From<&'a DuPart> for PartDocument<'a> {
    fn from(part: &'a DuPart) -> PartDocument<'a> {
        PartDocument {
            logical_bytes: part.logical_bytes,
            unique_bytes: part.unique_bytes,
            stored_bytes: part.stored_bytes,
            by_encoding: ByEncoding(&part.by_encoding),
        }
    }
}

impl<'a> From<&'a DuVersion> for VersionDocument<'a> {
    fn from(version: &'a DuVersion) -> VersionDocument<'a> {
        VersionDocument {
            id: version.id.to_hex(),
            version: &version.version,
            subject: &version.subject,
            sizes: PartDocument::from(&version.sizes),
        }
    }
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let found = du(&repo, &session)?;
    let ui = &context.ui;
    if ui.json {
        ui.document(&Document {
            versions: found.versions,
            logical_bytes: found.logical_bytes,
            unique_bytes: found.unique_bytes,
            stored_bytes: found.stored_bytes,
            retired_bytes: found.retired_bytes,
            objects: found.objects,
            packs: found.packs,
            by_component: Parts(&found.by_component),
            by_encoding: ByEncoding(&found.by_encoding),
            by_version: found.by_version.iter().map(VersionDocument::from).collect(),
        })?;
        return Ok(0);
    }
    if args.versions {
        by_version(&found).lines(ui.width()).iter().for_each(|l| ui.line(l));
        ui.line("");
    }
    by_component(&found).lines(ui.width()).iter().for_each(|l| ui.line(l));
    let encodings = by_encoding(&found);
    if !encodings.is_empty() {
        ui.line("");
        encodings.lines(ui.width()).iter().for_each(|l| ui.line(l));
    }
    let packs = format::count(found.packs, "pack");
    let versions = format::count(found.versions, "version");
    ui.line("");
    ui.line(format!("{versions}, {} in {packs}", format::count(found.objects, "object")));
    if found.retired_bytes > 0 {
        ui.line(format!(
            "{} more in packs that were replaced, until `mv gc --apply`",
            format::bytes(found.retired_bytes)
        ));
    }
    Ok(0)
}

fn by_component(found: &Du) -> Table {
    let mut table = Table::new(&["", ">logical", ">unique", ">stored"]);
    let mut row = |name: &str, sizes: [u64; 3]| {
        table.row(std::iter::once(name.to_owned()).chain(sizes.map(format::bytes)));
    };
    for (component, part) in &found.by_component {
        row(component.as_str(), [part.logical_bytes, part.unique_bytes, part.stored_bytes]);
    }
    row("all", [found.logical_bytes, found.unique_bytes, found.stored_bytes]);
    table
}

fn by_encoding(found: &Du) -> Table {
    let mut table = Table::new(&["stored as", ">unique", ">stored", ">saved"]);
    for Encodings { encoding, raw_bytes, stored_bytes } in &found.by_encoding {
        let saved = raw_bytes.saturating_sub(*stored_bytes);
        let sizes = [*raw_bytes, *stored_bytes, saved].map(format::bytes);
        table.row(std::iter::once(encoding.to_string()).chain(sizes));
    }
    table
}

fn by_version(found: &Du) -> Table {
    let mut table = Table::new(&["version", "id", ">logical", ">new", ">stored", "as", "message"]);
    for DuVersion { id, version, subject, sizes } in &found.by_version {
        let mut row = vec![format::text(version), id.short()];
        let bytes = [sizes.logical_bytes, sizes.unique_bytes, sizes.stored_bytes];
        row.extend(bytes.map(format::bytes));
        row.push(mostly(&sizes.by_encoding));
        row.push(format::subject(subject));
        table.row(row);
    }
    table
}

/// The encodings of most of some bytes, the first one first.
fn mostly(encodings: &[Encodings]) -> String {
    let all: u64 = encodings.iter().map(|e| e.raw_bytes).sum();
    let mut chosen: Vec<(u64, Encoding)> = encodings
        .iter()
        .filter(|e| e.raw_bytes.saturating_mul(10) >= all)
        .map(|e| (e.raw_bytes, e.encoding))
        .collect();
    chosen.sort_by_key(|(bytes, encoding)| (std::cmp::Reverse(*bytes), *encoding));
    chosen.iter().map(|(_, encoding)| encoding.to_string()).collect::<Vec<_>>().join(", ")
}
