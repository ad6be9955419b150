//! The least that `status` could do: read every directory below DIR, stat every file, nothing else.
//!
//! `tests/scripts/bench.py` runs it beside `mv status`, to tell the walk from what is done with it.
//! Build with `cargo build --release --example stat_walk -p mv-repo`.

#![expect(clippy::print_stdout, reason = "the count is its output")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::Scope;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What was met on the way.
#[derive(Default)]
struct Seen {
    files: AtomicU64,
    bytes: AtomicU64,
}

fn walk<'a>(scope: &Scope<'a>, path: &Path, seen: &'a Seen) -> rustix::io::Result<()> {
    let dir = openat(CWD, path, DIRECTORY, Mode::empty())?;
    let (mut files, mut bytes) = (0, 0);
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." || name == c".mv" {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            scope.spawn(move |scope| walk(scope, &path, seen).expect("a directory can be read"));
        } else {
            let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            files += 1;
            bytes += u64::try_from(stat.st_size).unwrap_or(0);
        }
    }
    seen.files.fetch_add(files, Ordering::Relaxed);
    seen.bytes.fetch_add(bytes, Ordering::Relaxed);
    Ok(())
}

fn main() -> rustix::io::Result<()> {
    let root = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let seen = Seen::default();
    rayon::scope(|scope| walk(scope, &root, &seen))?;
    println!("{} files, {} bytes", seen.files.into_inner(), seen.bytes.into_inner());
    Ok(())
}
