//! Ctrl-C asks the running operation to stop; a fault in a mapped file ends in one line.
//!
//! The first SIGINT or SIGTERM sets the cancel flag, which operations look at between files; a
//! second one ends the process at once, which is safe at any instruction. SIGBUS comes when a
//! mapped file was truncated or its server went away.
//!
//! SIGHUP and SIGPIPE are left alone: `nohup` ignores the first, std the second.

use std::sync::atomic::{AtomicBool, Ordering};

use mv_store::Progress;
use signal_hook::consts::{SIGBUS, SIGINT, SIGTERM};
use signal_hook::low_level::{exit, register};

use crate::failure::{INTERRUPTED, SYSTEM};

/// Set by the first signal.
static ASKED: AtomicBool = AtomicBool::new(false);

/// What is printed on SIGBUS.
const LINE: &[u8] = b"error: a repository file shrank or its disk failed while it was read\n\
                      hint: see what is damaged with `mv fsck --full`\n";

/// Installs the handlers for the rest of the process.
#[expect(
    unsafe_code,
    reason = "a signal handler may only do what is async-signal-safe; no safe wrapper can check that"
)]
pub(crate) fn install(progress: &Progress) {
    for signal in [SIGINT, SIGTERM] {
        let progress = progress.clone();
        let stop = move || {
            if ASKED.swap(true, Ordering::Relaxed) {
                exit(i32::from(INTERRUPTED));
            }
            progress.cancel();
        };
        // SAFETY: the handler swaps an atomic, stores another through an `Arc` that it keeps
        // alive, or calls `_exit`; it does not allocate, lock or panic.
        let installed = unsafe { register(signal, stop) };
        // Without a handler the signal ends the process, which is safe too.
        drop(installed);
    }
    let fault = || {
        // The process ends in the next line whether this was seen or not.
        rustix::io::write(rustix::stdio::stderr(), LINE).ok();
        exit(i32::from(SYSTEM));
    };
    // SAFETY: the handler makes two system calls, `write` from a constant and `_exit`; it does not
    // allocate, lock, panic or return to the faulting instruction.
    let installed = unsafe { register(SIGBUS, fault) };
    drop(installed);
}
