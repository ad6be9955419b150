//! Writing a version into one file: tar, compressed tar or zip.
//!
//! Entries come in path order with fixed owners and the version's time, so that one version gives
//! the same bytes each time.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mv_graph::diff::{self, ListedFile};
use mv_graph::{Manifest, Mode};
use mv_store::{Kind, Nonces, Task, Unit, fs as store_fs, nonce_hex};

use crate::error::{Error, IoContext, Result};
use crate::fetch;
use crate::repo::Repo;
use crate::session::Session;

/// What to write, and where.
#[derive(Clone, Debug)]
pub struct ArchiveOptions {
    /// The version.
    pub rev: String,
    /// The file; its name ends in `.tar`, `.tar.zst` or `.zip`. An existing one is replaced.
    pub output: PathBuf,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveOutcome {
    /// Files and symlinks.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

enum Form {
    Tar,
    TarZst,
    Zip,
}

/// Writes a version's files into an archive, which appears under its name only when it is whole.
///
/// # Errors
/// `UnknownRevision`, `Invalid` for another ending, `Corrupt`, `Io`.
pub fn archive(repo: &Repo, options: &ArchiveOptions, session: &Session) -> Result<ArchiveOutcome> {
    let name =
        options.output.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let form = match name.as_str() {
        n if n.ends_with(".tar") => Form::Tar,
        n if n.ends_with(".tar.zst") => Form::TarZst,
        n if n.ends_with(".zip") => Form::Zip,
        _ => {
            let detail = format!("`{name}` does not end in .tar, .tar.zst or .zip");
            return Err(Error::invalid("archive name", detail));
        }
    };
    let id = repo.resolve(&options.rev, session)?;
    let manifest = repo.manifest(&id)?;
    let files = diff::list(repo.store(), &manifest)?;
    let blobs: Vec<_> =
        files.iter().filter(|f| f.entry.mode != Mode::Dir).map(|f| f.entry.id).collect();
    let fetched = fetch::contents(repo, &blobs, session)?;
    let fresh = if fetched { Some(repo.fresh(session)?) } else { None };
    let repo = fresh.as_ref().unwrap_or(repo);
    let bytes = files.iter().map(|f| f.entry.bytes).sum();
    let task = session.progress.task("archiving", Unit::Bytes);
    task.set_total(bytes);
    let temporary = temporary(&options.output, &session.nonces);
    let work = Work { repo, manifest: &manifest, files: &files, task: &task, path: &temporary };
    let outcome = work.write(&form).and_then(|file| {
        store_fs::close(file, &temporary)?;
        std::fs::rename(&temporary, &options.output).at("rename", &options.output)
    });
    if let Err(e) = outcome {
        drop(std::fs::remove_file(&temporary));
        return Err(e);
    }
    let count = files.iter().filter(|f| f.entry.mode != Mode::Dir).count();
    Ok(ArchiveOutcome { files: count as u64, bytes })
}

fn temporary(output: &Path, nonces: &Nonces) -> PathBuf {
    output.with_file_name(format!(".mv-tmp.{}", nonce_hex(&nonces.next())))
}

struct Work<'a> {
    repo: &'a Repo,
    manifest: &'a Manifest,
    files: &'a [ListedFile],
    task: &'a Task,
    path: &'a Path,
}

impl Work<'_> {
    fn write(&self, form: &Form) -> Result<File> {
        let file = File::create_new(self.path).at("create", self.path)?;
        let out = BufWriter::with_capacity(1 << 20, file);
        match form {
            Form::Tar => self
                .tar(out)?
                .into_inner()
                .map_err(io::IntoInnerError::into_error)
                .at("write", self.path),
            Form::TarZst => {
                let encoder = zstd::Encoder::new(out, 3).at("write", self.path)?;
                let out = self.tar(encoder)?.finish().at("write", self.path)?;
                out.into_inner().map_err(io::IntoInnerError::into_error).at("write", self.path)
            }
            Form::Zip => self.zip(out),
        }
    }

    fn tar<W: Write>(&self, out: W) -> Result<W> {
        let mut tar = tar::Builder::new(out);
        for file in self.files {
            let mut header = tar::Header::new_gnu();
            header.set_mtime(u64::try_from(self.manifest.created.seconds()).unwrap_or(0));
            header.set_mode(if matches!(file.entry.mode, Mode::Exec | Mode::Dir) {
                0o755
            } else {
                0o644
            });
            let path = file.path.to_path();
            match file.entry.mode {
                Mode::File | Mode::Exec => {
                    header.set_size(file.entry.bytes);
                    self.with_reader(file, &mut |reader| {
                        tar.append_data(&mut header, &path, reader)
                    })?;
                }
                Mode::Symlink => {
                    let target =
                        self.repo.store().get(Kind::Blob, &file.entry.id, mv_graph::MAX_SYMLINK)?;
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    let target = Path::new(std::ffi::OsStr::from_bytes(&target));
                    tar.append_link(&mut header, &path, target).at("write", self.path)?;
                }
                Mode::Dir => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_size(0);
                    tar.append_data(&mut header, &path, io::empty()).at("write", self.path)?;
                }
            }
        }
        tar.into_inner().at("write", self.path)
    }

    fn zip(&self, out: BufWriter<File>) -> Result<File> {
        let mut zip = zip::ZipWriter::new(out);
        let failed = |e: zip::result::ZipError| Error::io("write", self.path, io::Error::other(e));
        for file in self.files {
            let Some(name) = file.path.as_str() else {
                let why = "a zip archive holds only UTF-8 names; use .tar".to_owned();
                return Err(Error::BadName { name: file.path.to_path(), why });
            };
            let mode = if file.entry.mode == Mode::Exec { 0o755 } else { 0o644 };
            let options = zip::write::SimpleFileOptions::default()
                .large_file(file.entry.bytes >= u64::from(u32::MAX))
                .unix_permissions(mode);
            match file.entry.mode {
                Mode::File | Mode::Exec => {
                    zip.start_file(name, options).map_err(failed)?;
                    self.with_reader(file, &mut |mut reader| {
                        io::copy(&mut reader, &mut zip).map(drop)
                    })?;
                }
                Mode::Symlink => {
                    let target =
                        self.repo.store().get(Kind::Blob, &file.entry.id, mv_graph::MAX_SYMLINK)?;
                    let Ok(target) = std::str::from_utf8(&target) else {
                        let why = "a zip archive holds only UTF-8 symlinks; use .tar".to_owned();
                        return Err(Error::BadName { name: file.path.to_path(), why });
                    };
                    zip.add_symlink(name, target, options).map_err(failed)?;
                }
                Mode::Dir => zip.add_directory(name, options).map_err(failed)?,
            }
        }
        let out = zip.finish().map_err(failed)?;
        out.into_inner().map_err(io::IntoInnerError::into_error).at("write", self.path)
    }

    /// Hands out a file's content as a reader: what decodes it runs beside what packs it.
    fn with_reader(
        &self,
        file: &ListedFile,
        consume: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> Result<()> {
        let len = self.repo.store().len_of(&file.entry.id)?;
        if len != file.entry.bytes {
            let detail = format!("it has {len} bytes, the tree says {}", file.entry.bytes);
            return Err(mv_store::Error::corrupt("blob", file.entry.id, detail).into());
        }
        let (send, receive) = std::sync::mpsc::sync_channel::<Vec<u8>>(4);
        std::thread::scope(|scope| {
            let producer = scope.spawn(move || {
                self.repo.store().copy_to(&file.entry.id, Some(self.task), &mut |piece| {
                    // A consumer that stopped early reports why itself.
                    let gone = || mv_store::Error::Cancelled;
                    send.send(piece.to_vec()).map_err(|_| gone())
                })
            });
            let mut reader = Pieces { receive, current: io::Cursor::new(Vec::new()) };
            let consumed = consume(&mut reader);
            drop(reader);
            let produced = producer.join().unwrap_or(Err(mv_store::Error::Cancelled));
            match (produced, consumed) {
                (_, Err(e)) => Err(Error::io("write", self.path, e)),
                (Err(e), Ok(())) => Err(e.into()),
                (Ok(_), Ok(())) => Ok(()),
            }
        })
    }
}

/// The pieces of a file, as they arrive.
struct Pieces {
    receive: std::sync::mpsc::Receiver<Vec<u8>>,
    current: io::Cursor<Vec<u8>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.current.read(buffer)? {
                0 if !buffer.is_empty() => match self.receive.recv() {
                    Ok(piece) => self.current = io::Cursor::new(piece),
                    Err(_) => return Ok(0),
                },
                n => return Ok(n),
            }
        }
    }
}
