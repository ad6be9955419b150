//! A shared directory as a remote: [`DirTransport`], with failures told as those of a remote.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::dir_transport::DirTransport;
use crate::error::{Error, Fault, Result};
use crate::hash::Nonce;
use crate::progress::Task;
use crate::transport::{Source, Stat, Transport};

/// A directory that several users or machines share, NFS included.
#[derive(Debug)]
pub struct SharedDir {
    dir: DirTransport,
    url: String,
}

impl SharedDir {
    /// The directory, which is made by the first write. The one above it must be there: a share that
    /// is not mounted must not be taken for an empty one.
    ///
    /// # Errors
    /// `Remote` when the directory above is not there, or something else stands in its place.
    pub fn open(path: &Path) -> Result<SharedDir> {
        let url = path.display().to_string();
        let unfit = |fault, detail: String| Error::Remote { url: url.clone(), fault, detail };
        let root: PathBuf = match fs::canonicalize(path) {
            Ok(root) if root.is_dir() => root,
            Ok(_) => return Err(unfit(Fault::Unfit, "it is not a directory".to_owned())),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let above = path.parent().unwrap_or(Path::new("/"));
                if !above.is_dir() {
                    let detail = format!("`{}` is not there: is it mounted?", above.display());
                    return Err(unfit(Fault::Unreachable, detail));
                }
                path.to_path_buf()
            }
            Err(e) => return Err(unfit(fault_of(&e), format!("cannot open it: {e}"))),
        };
        Ok(SharedDir { dir: DirTransport::open(&root), url })
    }

    fn told<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| match error {
            Error::Io { action, path, source } => {
                let not_durable = action.contains("sync") || action == "open directory";
                let fault = if not_durable { Fault::NotDurable } else { fault_of(&source) };
                let detail = format!("cannot {action} `{}`: {source}", path.display());
                Error::Remote { url: self.url.clone(), fault, detail }
            }
            other => other,
        })
    }
}

fn fault_of(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Fault::Denied,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Fault::Full,
        _ => Fault::Unreachable,
    }
}

impl Transport for SharedDir {
    fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>> {
        self.told(self.dir.read(name, cap))
    }

    fn read_range(&self, name: &str, start: u64, len: u64) -> Result<Vec<u8>> {
        self.told(self.dir.read_range(name, start, len))
    }

    fn read_into(&self, name: &str, start: u64, buffer: &mut [u8]) -> Result<()> {
        self.told(self.dir.read_into(name, start, buffer))
    }

    fn read_end(&self, name: &str, len: u64) -> Result<(Vec<u8>, u64)> {
        self.told(self.dir.read_end(name, len))
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        self.told(self.dir.stat(name))
    }

    fn create(&self, name: &str, bytes: &[u8], nonce: &Nonce) -> Result<()> {
        self.told(self.dir.create(name, bytes, nonce))
    }

    fn upload(&self, name: &str, source: &dyn Source, nonce: &Nonce, task: &Task) -> Result<()> {
        self.told(self.dir.upload(name, source, nonce, task))
    }

    fn note(&self, name: &str, bytes: &[u8], nonce: &Nonce) -> Result<()> {
        self.told(self.dir.note(name, bytes, nonce))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.told(self.dir.list(prefix))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.told(self.dir.delete(name))
    }

    fn sweep(&self, before_ns: i64) {
        self.dir.sweep(before_ns);
    }

    fn address(&self) -> String {
        self.url.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_not_mounted_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(SharedDir::open(&dir.path().join("new")).is_ok());
        let error = SharedDir::open(&dir.path().join("team").join("new")).unwrap_err();
        assert!(error.to_string().contains("is it mounted?"), "{error}");
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(SharedDir::open(&dir.path().join("file")).is_err());
    }
}
