//! [`Engine`]: the one asynchronous thread of a remote. Plain threads, any number at once, hand it
//! futures and wait; dropping it stops what is under way and ends the thread.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// A thread that runs futures.
#[derive(Debug)]
pub(crate) struct Engine {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The result of a future that is under way; dropping it stops the future.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    answer: mpsc::Receiver<T>,
    task: AbortHandle,
}

impl Engine {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Engine> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("mv-remote".to_owned()).spawn(move || {
            // An error means that the engine is gone, which is the same thing.
            runtime.block_on(async { stopped.await.unwrap_or(()) });
            // A name look-up that hangs would otherwise be waited for.
            runtime.shutdown_background();
        })?;
        Ok(Engine { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Begins a future on the thread.
    pub(crate) fn begin<T, F>(&self, future: F) -> Pending<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, answer) = mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            let value = future.await;
            // Whoever asked may have given up.
            drop(sender.send(value));
        });
        Pending { answer, task: task.abort_handle() }
    }

    /// Runs a future on the thread and waits for it; none if the thread ended meanwhile.
    pub(crate) fn run<T, F>(&self, future: F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.begin(future).wait()
    }
}

impl<T> Pending<T> {
    /// Waits for the result; none if the thread ended meanwhile.
    pub(crate) fn wait(self) -> Option<T> {
        self.answer.recv().ok()
    }

    /// Waits for the result no longer than this: `Ok(None)` when it is not there yet.
    pub(crate) fn wait_for(&self, most: Duration) -> Result<Option<T>, mpsc::RecvError> {
        match self.answer.recv_timeout(most) {
            Ok(value) => Ok(Some(value)),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(mpsc::RecvError),
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // It returns nothing, and its panic would have been reported where it happened.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_wait_at_once() {
        let engine = Engine::start().unwrap();
        let (open, gate) = tokio::sync::watch::channel(0usize);
        let open = std::sync::Arc::new(open);
        // Each waits for all others to have begun.
        let sum: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..32)
                .map(|_| {
                    let (engine, open, mut gate) = (&engine, open.clone(), gate.clone());
                    scope.spawn(move || {
                        engine.run(async move {
                            open.send_modify(|n| *n += 1);
                            gate.wait_for(|n| *n == 32).await.map_or(0, |_| 1)
                        })
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap().unwrap()).sum()
        });
        assert_eq!(sum, 32);
    }

    #[test]
    fn dropping_the_engine_releases_those_who_wait() {
        let engine = Engine::start().unwrap();
        let never = engine.begin(std::future::pending::<()>());
        drop(engine);
        assert_eq!(never.wait(), None);
    }
}
