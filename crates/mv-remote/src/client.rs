//! [`Client`]: HTTP with limits. It ends requests that make no progress, bounds answers that are not
//! objects, and notes what happened for those who explain failures: the libraries above it only
//! pass texts on, which may contain anything.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method};
use http_body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::{Sleep, sleep};

use crate::settings::{Settings, Timeouts};

/// The length given to an object whose answer tells none.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// The longest answer to anything but the reading of an object: a page of a listing.
const MOST_ANSWER: u64 = 16 << 20;

/// What is read of an answer that says no.
const MOST_REFUSAL: usize = 64 << 10;

/// How long the service that gives machines their credentials may take.
const MACHINE_PATIENCE: Duration = Duration::from_secs(2);

/// What was seen of the requests of one operation; the last of them counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The status of the last answer; 0 when there was none.
    pub(crate) status: u16,
    /// What ended the last request, when it was not its answer.
    pub(crate) trouble: Option<String>,
    /// What an answer that says no said, as it came.
    pub(crate) said: String,
    /// The request was one for credentials.
    pub(crate) credentials: bool,
}

tokio::task_local! {
    static SEEN: Arc<Mutex<Seen>>;
}

/// Runs the requests of one operation and tells what was seen of them.
pub(crate) async fn watched<T>(operation: impl Future<Output = T>) -> (T, Seen) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let outcome = SEEN.scope(Arc::clone(&seen), operation).await;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (outcome, seen)
}

fn note(change: impl FnOnce(&mut Seen)) {
    // Outside of `watched` nobody asks.
    let told =
        SEEN.try_with(|seen| change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner)));
    told.unwrap_or(());
}

/// Which redirects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// None: a signed request is for one place.
    Refused,
    /// To the same scheme, host and port.
    WithinHost,
}

/// Makes requests, with limits.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    timeouts: Timeouts,
    /// Whether requests without encryption are made.
    plain: bool,
}

impl Client {
    /// A client; its connections are kept and shared by its clones.
    pub(crate) fn new(
        settings: &Settings,
        redirects: Redirects,
        plain: bool,
    ) -> Result<Client, reqwest::Error> {
        let policy = match redirects {
            Redirects::Refused => Policy::none(),
            Redirects::WithinHost => Policy::custom(|attempt| {
                let same = attempt.previous().last().is_some_and(|from| {
                    let to = attempt.url();
                    from.scheme() == to.scheme()
                        && from.host_str() == to.host_str()
                        && from.port_or_known_default() == to.port_or_known_default()
                        && to.username().is_empty()
                        && to.password().is_none()
                });
                if same && attempt.previous().len() <= 5 {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }),
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls())
            .http1_only()
            .redirect(policy)
            .referer(false)
            .user_agent(concat!("mv/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.timeouts.connect)
            .no_proxy();
        for (variable, secure) in
            [("https_proxy", true), ("HTTPS_PROXY", true), ("http_proxy", false)]
        {
            let Some(proxy) = settings.variable(variable) else { continue };
            let proxy =
                if secure { reqwest::Proxy::https(proxy)? } else { reqwest::Proxy::http(proxy)? };
            let except = settings.variable("no_proxy").or_else(|| settings.variable("NO_PROXY"));
            builder = builder
                .proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&except.unwrap_or_default())));
        }
        Ok(Client { http: builder.build()?, timeouts: settings.timeouts, plain })
    }

    /// Makes a request until its answer begins.
    async fn begin(&self, request: HttpRequest) -> Result<reqwest::Response, HttpError> {
        let (parts, body) = request.into_parts();
        let secure = parts.uri.scheme_str() == Some("https");
        if !secure && !self.plain {
            return Err(trouble(HttpErrorKind::Unknown, "it is reached without encryption"));
        }
        let url = parts.uri.to_string().parse().map_err(|e: url::ParseError| {
            trouble(HttpErrorKind::Unknown, &format!("its address is malformed: {e}"))
        })?;
        let moved = Arc::new(AtomicU64::new(0));
        let mut request = reqwest::Request::new(parts.method.clone(), url);
        *request.headers_mut() = parts.headers;
        *request.body_mut() = Some(match body.as_bytes() {
            Some(bytes) => bytes.clone().into(),
            None => reqwest::Body::wrap(Counted { body, moved: Arc::clone(&moved) }),
        });
        // What is asked for by POST, such as to put the parts of a large object together, may take
        // the other side minutes.
        let stall = self.timeouts.stall * if parts.method == Method::POST { 10 } else { 1 };
        tokio::select! {
            biased;
            answer = self.http.execute(request) => answer.map_err(failure),
            () = silence(&moved, stall) => {
                Err(trouble(HttpErrorKind::Timeout, "it stopped answering"))
            }
            () = sleep(self.timeouts.request) => {
                Err(trouble(HttpErrorKind::Timeout, "the request took too long"))
            }
        }
    }
}

/// The encryption: of the protocol's versions the safe ones, with the certificates that this machine
/// trusts. A machine without any can still reach what is not encrypted.
fn tls() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring offers the versions that are safe")
    };
    match versions().with_platform_verifier() {
        Ok(trusting) => trusting.with_no_client_auth(),
        Err(_) => versions().with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The credentials of a machine are asked for at an address that only leads to itself.
        let credentials = request.uri().host().is_some_and(|host| host.starts_with("169.254."));
        let query = request.uri().query().unwrap_or_default().to_owned();
        let method = request.method().clone();
        note(|seen| *seen = Seen { credentials, ..Seen::default() });
        let answer = if credentials {
            let none = |_| trouble(HttpErrorKind::Unknown, "no credentials were found");
            tokio::time::timeout(MACHINE_PATIENCE, self.begin(request))
                .await
                .map_err(none)?
                .map_err(|e| HttpError::new(HttpErrorKind::Unknown, e))?
        } else {
            self.begin(request).await?
        };
        let (mut parts, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        note(|seen| seen.status = parts.status.as_u16());
        let of_object = method == Method::GET && !query.contains("list");
        let watched = Watched {
            body: Box::pin(body),
            silence: Box::pin(sleep(self.timeouts.stall)),
            end: Box::pin(sleep(self.timeouts.request)),
            stall: self.timeouts.stall,
            left: if of_object { u64::MAX } else { MOST_ANSWER },
        };
        if method != Method::HEAD && !parts.status.is_success() {
            let said = beginning(watched, MOST_REFUSAL).await;
            note(|seen| seen.said.clone_from(&said));
            parts.headers.remove(CONTENT_LENGTH);
            return Ok(HttpResponse::from_parts(parts, said.into()));
        }
        if of_object && !parts.headers.contains_key(CONTENT_LENGTH) {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(UNKNOWN));
        }
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(watched)))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

/// Gives `object_store` this client.
#[derive(Clone, Debug)]
pub(crate) struct Connector(pub(crate) Client);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allowed = options.get_config_value(&object_store::ClientConfigKey::AllowHttp);
        let plain = allowed.as_deref() == Some("true");
        Ok(HttpClient::new(Client { plain, ..self.0.clone() }))
    }
}

/// The beginning of a body as text; what goes wrong after it began does not matter.
async fn beginning(body: Watched, most: usize) -> String {
    let mut stream = HttpResponseBody::new(body).bytes_stream();
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = stream.next().await {
        bytes.extend_from_slice(&piece[..piece.len().min(most - bytes.len())]);
        if bytes.len() == most {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns when nothing moved for about this long.
async fn silence(moved: &AtomicU64, stall: Duration) {
    let (mut seen, mut quarters) = (moved.load(Ordering::Relaxed), 0);
    while quarters < 4 {
        sleep(stall / 4).await;
        let now = moved.load(Ordering::Relaxed);
        (quarters, seen) = if now == seen { (quarters + 1, now) } else { (0, now) };
    }
}

/// Ends a request and notes why.
fn trouble(kind: HttpErrorKind, what: &str) -> HttpError {
    note(|seen| seen.trouble = Some(what.to_owned()));
    HttpError::new(kind, std::io::Error::other(what.to_owned()))
}

/// What `reqwest` reports: whether it may be tried again, and the cause under all its layers.
fn failure(error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    let cause = cause.to_string();
    if !error.is_connect() {
        let kind = if error.is_timeout() {
            HttpErrorKind::Timeout
        } else if error.is_builder() || error.is_redirect() {
            HttpErrorKind::Unknown
        } else {
            HttpErrorKind::Interrupted
        };
        return trouble(kind, &format!("the connection broke: {cause}"));
    }
    if error.is_timeout() {
        return trouble(HttpErrorKind::Connect, "it does not answer");
    }
    // A wrong name and a wrong certificate stay wrong.
    let hopeless = ["certificate", "not known"].iter().any(|word| cause.contains(word));
    let kind = if hopeless { HttpErrorKind::Unknown } else { HttpErrorKind::Connect };
    trouble(kind, &format!("no connection: {cause}"))
}

/// A body that is sent, whose progress shows.
struct Counted {
    body: HttpRequestBody,
    moved: Arc<AtomicU64>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.moved.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that is received, with limits in silence, in time and in length.
struct Watched {
    body: Pin<Box<reqwest::Body>>,
    silence: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
    stall: Duration,
    left: u64,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        // First, so that a body that never pauses ends as well.
        if self.end.as_mut().poll(cx).is_ready() {
            let error = trouble(HttpErrorKind::Unknown, "the answer took too long");
            return Poll::Ready(Some(Err(error)));
        }
        match self.body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.silence = Box::pin(sleep(self.stall));
                let came = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = self.left.checked_sub(came) else {
                    let error = trouble(HttpErrorKind::Decode, "the answer does not end");
                    return Poll::Ready(Some(Err(error)));
                };
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(failure(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.silence.as_mut().poll(cx).is_ready() => {
                let error = trouble(HttpErrorKind::Timeout, "it stopped answering");
                Poll::Ready(Some(Err(error)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
