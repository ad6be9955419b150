//! [`FaultyServer`]: a bucket in memory that speaks as much of S3 as `mv` uses, path-style, and plays
//! tricks when it is told to. It also serves its objects as a plain web server does, with a page for
//! each directory. It checks no signatures; the log says whether there was one.
//!
//! Nothing in it waits for a time to pass: a trick that hangs does so until the other side gives up.

mod bucket;
mod http;
mod trick;

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use bucket::Bucket;
use http::{Answer, Request, read_request};
pub use trick::{Trick, When};

/// The name of the one bucket.
const BUCKET: &str = "bucket";

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// `GET`, `PUT` …
    pub method: String,
    /// The path with its query, as it was sent.
    pub path: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `If-None-Match` header.
    pub if_none_match: Option<String>,
    /// Whether it carried an `Authorization` header.
    pub signed: bool,
    /// The length of its body.
    pub len: usize,
}

/// A server on a port of this machine; dropping it closes its connections.
pub struct FaultyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bucket: Bucket,
    tricks: Vec<(When, Trick)>,
    log: Vec<Logged>,
    connections: Vec<TcpStream>,
}

impl FaultyServer {
    /// Starts an empty, honest server.
    #[must_use]
    pub fn start() -> FaultyServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.stopping.load(Ordering::SeqCst) {
                    break;
                }
                accepting.state().connections.push(stream.try_clone().unwrap());
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.serve(stream));
            }
        });
        FaultyServer { address, shared, thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`, for `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `s3://bucket/PREFIX`.
    #[must_use]
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// The same objects as a web server has them.
    #[must_use]
    pub fn web_url(&self, prefix: &str) -> String {
        format!("{}/{BUCKET}/{prefix}", self.endpoint())
    }

    /// The variables that lead here.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", "AKIATESTKEY".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test-secret-hunter2".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// Plays a trick on the requests that are meant; of several tricks the first that is meant.
    pub fn play(&self, when: When, trick: Trick) {
        self.state().tricks.push((when, trick));
    }

    /// Plays no more tricks.
    pub fn behave(&self) {
        self.state().tricks.clear();
    }

    /// How many names one page of a listing has; 1000 unless told.
    pub fn set_page(&self, names: usize) {
        self.state().bucket.page = names;
    }

    /// All requests since the last time this was asked.
    #[must_use]
    pub fn take_log(&self) -> Vec<Logged> {
        std::mem::take(&mut self.state().log)
    }

    /// All objects by key.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let objects = state.bucket.objects.iter();
        objects.map(|(key, object)| (key.clone(), object.bytes.to_vec())).collect()
    }

    /// Puts an object there.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.state().bucket.put(key, bytes.to_vec());
    }

    /// Takes an object away; whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.state().bucket.objects.remove(key).is_some()
    }

    /// How many uploads in parts were begun and neither completed nor given up.
    #[must_use]
    pub fn open_uploads(&self) -> usize {
        self.state().bucket.uploads.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        for stream in self.shared.state().connections.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Serves one connection until it closes or a trick breaks it.
    fn serve(&self, stream: TcpStream) {
        drop(stream.set_nodelay(true));
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Ok(Some(request)) = read_request(&mut reader) {
            let kept = self.answer(&request, &mut writer, &mut reader);
            if !matches!(kept, Ok(true)) {
                break;
            }
        }
        drop(writer.shutdown(Shutdown::Both));
    }

    /// Answers one request; whether the connection is still good.
    fn answer(
        &self,
        request: &Request,
        writer: &mut TcpStream,
        reader: &mut impl Read,
    ) -> std::io::Result<bool> {
        let (trick, answer) = {
            let mut state = self.state();
            state.log.push(Logged {
                method: request.method.clone(),
                path: request.target.clone(),
                range: request.header("range").map(str::to_owned),
                if_none_match: request.header("if-none-match").map(str::to_owned),
                signed: request.header("authorization").is_some(),
                len: request.body.len(),
            });
            let trick = state
                .tricks
                .iter_mut()
                .find_map(|(when, trick)| when.meant(request).then(|| trick.clone()));
            let answer = match &trick {
                Some(trick) => trick.answer(request, &mut state.bucket),
                None => state.bucket.answer(request),
            };
            (trick, answer)
        };
        match trick {
            Some(Trick::AppliedThenDropped) => Ok(false),
            Some(Trick::Silent) => wait_for_the_end(reader),
            Some(Trick::Stalled) => {
                let bytes = answer.bytes(request);
                writer.write_all(&bytes[..bytes.len() - answer.body.len().div_ceil(2)])?;
                wait_for_the_end(reader)
            }
            Some(Trick::Short) => {
                let bytes = answer.bytes(request);
                writer.write_all(&bytes[..bytes.len() - answer.body.len().div_ceil(2)])?;
                Ok(false)
            }
            Some(Trick::Together(all)) => {
                all.wait();
                writer.write_all(&answer.bytes(request))?;
                Ok(true)
            }
            Some(Trick::Endless) => endless(&answer, writer),
            _ => {
                writer.write_all(&answer.bytes(request))?;
                Ok(true)
            }
        }
    }
}

/// Says nothing more until the other side closes the connection.
fn wait_for_the_end(reader: &mut impl Read) -> std::io::Result<bool> {
    std::io::copy(reader, &mut std::io::sink())?;
    Ok(false)
}

/// Sends a body without an announced length until the other side closes the connection.
fn endless(answer: &Answer, writer: &mut TcpStream) -> std::io::Result<bool> {
    writer.write_all(&answer.head("Transfer-Encoding: chunked\r\n"))?;
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend_from_slice(&[b'x'; 0x10000]);
    chunk.extend_from_slice(b"\r\n");
    loop {
        writer.write_all(&chunk)?;
    }
}
