//! What the tests of remotes share: a server that misbehaves, and a remote on it with little
//! patience.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mv_remote::{Settings, Timeouts};
use mv_store::{Error, Fault, Nonces, Progress, Result, Source, Task, Transport, Unit};
use mv_tests::FaultyServer;

/// A server and a remote on it.
pub(crate) struct Bench {
    pub(crate) server: FaultyServer,
    pub(crate) remote: Arc<dyn Transport>,
    pub(crate) nonces: Nonces,
}

/// Little patience, so that tests of silence are short.
pub(crate) fn hasty() -> Timeouts {
    Timeouts { stall: Duration::from_millis(400), ..impatient() }
}

/// Patience for whatever this machine does meanwhile; nothing is ever waited for that long.
pub(crate) fn impatient() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(10),
        stall: Duration::from_secs(20),
        request: Duration::from_secs(60),
        retry: Duration::from_secs(60),
        retries: 2,
        pause: Duration::from_millis(1),
    }
}

/// Settings whose variables are those of the server.
pub(crate) fn settings(server: &FaultyServer, timeouts: Timeouts) -> Settings {
    let variables: HashMap<_, _> = server.variables().into_iter().collect();
    Settings { timeouts, ..Settings::new(move |name| variables.get(name).cloned()) }
}

impl Bench {
    /// A bucket on an honest server.
    pub(crate) fn bucket() -> Bench {
        Bench::patient(impatient())
    }

    /// The same, with other patience.
    pub(crate) fn patient(timeouts: Timeouts) -> Bench {
        let server = FaultyServer::start();
        let settings = settings(&server, timeouts);
        let remote = mv_remote::open(&server.url("team/model"), &settings).unwrap();
        Bench { server, remote, nonces: Nonces::from_seed([1; 32]) }
    }

    /// The same objects read from a web server.
    pub(crate) fn web(timeouts: Timeouts) -> Bench {
        let server = FaultyServer::start();
        let settings = settings(&server, timeouts);
        let remote = mv_remote::open(&server.web_url("team/model"), &settings).unwrap();
        Bench { server, remote, nonces: Nonces::from_seed([1; 32]) }
    }

    /// Puts an object below the prefix of the remote.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.server.put(&format!("team/model/{name}"), bytes);
    }

    pub(crate) fn create(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.remote.create(name, bytes, &self.nonces.next())
    }

    /// How many requests of this method whose path contains this were made since the last question.
    pub(crate) fn requests(&self, method: &str, path: &str) -> usize {
        let log = self.server.take_log();
        log.iter().filter(|r| r.method == method && r.path.contains(path)).count()
    }
}

/// Bytes that are the same wherever they are read.
pub(crate) struct Ramp(pub(crate) u64);

impl Source for Ramp {
    fn len(&self) -> u64 {
        self.0
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let ramp: Vec<u8> = (0..251).collect();
        let start = usize::try_from(offset % 251).unwrap();
        let (head, rest) = buffer.split_at_mut(buffer.len().min(251 - start));
        head.copy_from_slice(&ramp[start..start + head.len()]);
        for piece in rest.chunks_mut(251) {
            piece.copy_from_slice(&ramp[..piece.len()]);
        }
        Ok(())
    }
}

impl Ramp {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.0).unwrap()];
        self.read_at(&mut bytes, 0).unwrap();
        bytes
    }
}

/// A task that nobody watches.
pub(crate) fn task(progress: &Progress) -> Task {
    progress.task("sending", Unit::Bytes)
}

/// Asserts the kind of failure and returns what it says.
pub(crate) fn fault<T>(outcome: Result<T>, expected: Fault) -> String {
    match outcome {
        Err(Error::Remote { fault, detail, url }) => {
            assert_eq!(fault, expected, "{detail}");
            assert!(!format!("{url} {detail}").contains("hunter2"), "{detail}");
            assert!(detail.chars().count() <= 300 && !detail.contains(char::is_control));
            detail
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it worked"),
    }
}
