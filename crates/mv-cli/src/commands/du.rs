//! `mv du`: what the history takes, before and after sharing and compression.

use mv_graph::Component;
use mv_repo::du::{Du, DuPart, du};
use serde::Serialize;
use serde::ser::SerializeMap;

use crate::context::Context;
use crate::failure::Result;
use crate::format;
use crate::table::Table;

/// Show what the history takes on disk
///
/// Logical is the sum over all versions, unique counts equal content once, stored is what is on
/// disk.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv du\n  mv du --json | jq .stored_bytes")]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Document<'a> {
    versions: u64,
    logical_bytes: u64,
    unique_bytes: u64,
    stored_bytes: u64,
    objects: u64,
    packs: u64,
    by_component: Parts<'a>,
}

#[derive(Serialize)]
struct PartDocument {
    logical_bytes: u64,
    unique_bytes: u64,
    stored_bytes: u64,
}

struct Parts<'a>(&'a [(Component, DuPart)]);

impl Serialize for Parts<'_> {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (component, part) in self.0 {
            let (logical_bytes, unique_bytes) = (part.logical_bytes, part.unique_bytes);
            let part =
                PartDocument { logical_bytes, unique_bytes, stored_bytes: part.stored_bytes };
            map.serialize_entry(component.as_str(), &part)?;
        }
        map.end()
    }
}

pub(crate) fn run(context: &Context<'_>) -> Result<u8> {
    let (repo, session) = context.open()?;
    let found = du(&repo, &session)?;
    let ui = &context.ui;
    if ui.json {
        ui.document(&Document {
            versions: found.versions,
            logical_bytes: found.logical_bytes,
            unique_bytes: found.unique_bytes,
            stored_bytes: found.stored_bytes,
            objects: found.objects,
            packs: found.packs,
            by_component: Parts(&found.by_component),
        })?;
        return Ok(0);
    }
    table(&found).lines(ui.width()).iter().for_each(|l| ui.line(l));
    let packs = format::count(found.packs, "pack");
    let versions = format::count(found.versions, "version");
    ui.line(format!("{versions}, {} in {packs}", format::count(found.objects, "object")));
    Ok(0)
}

fn table(found: &Du) -> Table {
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
