//! Putting some files back as a version has them.

use crate::checkout::{CheckoutOutcome, Local, Switch, run_widened, view_of};
use crate::error::{Error, Result};
use crate::repo::{PathArg, Repo, covered};
use crate::session::Session;

/// What to put back.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// The version; HEAD when none is given.
    pub from: Option<String>,
    /// The paths; at least one.
    pub paths: Vec<PathArg>,
}

/// Overwrites the working files below the paths with those of a version. What is overwritten is
/// saved for `undo`; HEAD stays.
///
/// # Errors
/// `Invalid` when no path is given or a path is in neither the version nor HEAD, `UnknownRevision`, `Io`.
pub fn restore(
    repo: &Repo,
    options: &RestoreOptions,
    session: &Session,
) -> Result<CheckoutOutcome> {
    if options.paths.is_empty() {
        return Err(Error::invalid("path", "give at least one"));
    }
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    let name = options.from.as_deref().unwrap_or("HEAD");
    let target = repo.resolve(name, session)?;
    check_paths(repo, &target, &options.paths)?;
    let switch = Switch {
        operation: format!("restore --from {name}"),
        target,
        whole: false,
        scope: &|_, path| covered(&options.paths, path),
        local: Local::Overwrite,
        edit: &|_| Ok(()),
        overlay: None,
        fresh: None,
        merge: None,
    };
    let view = view_of(&[], &options.paths);
    run_widened(repo, view, &switch, session)
}

pub(crate) fn check_paths(repo: &Repo, target: &mv_store::Hash, paths: &[PathArg]) -> Result<()> {
    let manifest = repo.manifest(target)?;
    for arg in paths {
        let PathArg::Path(path) = arg else { continue };
        let mut known = mv_graph::diff::lookup(repo.store(), &manifest, path)?.is_some();
        if let Some((_, head)) = repo.head_manifest()? {
            known |= mv_graph::diff::lookup(repo.store(), &head, path)?.is_some();
        }
        if !known {
            return Err(Error::invalid(
                "path",
                format!("`{path}` is in no version that was asked for"),
            ));
        }
    }
    Ok(())
}
