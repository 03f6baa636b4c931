//! A server on loopback that passes every request on to another one, and remembers it: what a run costs in requests.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Headers that belong to one connection, not to the message.
const OF_THE_CONNECTION: [&str; 4] = ["connection", "content-length", "keep-alive", "transfer-encoding"];

/// The proxy; it ends with the runtime of the test.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    passed: Arc<Mutex<Vec<Passed>>>,
}

/// One request that was passed on.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    pub(crate) method: String,
    pub(crate) path: String,
    /// `secretsmanager.GetSecretValue` and the like; empty for S3.
    pub(crate) operation: String,
}

struct Target {
    client: reqwest::Client,
    url: String,
    passed: Arc<Mutex<Vec<Passed>>>,
}

impl Proxy {
    /// Starts a proxy in front of `url` (scheme, host and port).
    pub(crate) async fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let passed = Arc::new(Mutex::default());
        let target = Target { client: client.expect("a client"), url: url.to_owned(), passed: Arc::clone(&passed) };
        tokio::spawn(accept(listener, Arc::new(target)));
        Self { endpoint, passed }
    }

    /// The requests since the last time.
    pub(crate) fn take(&self) -> Vec<Passed> {
        std::mem::take(&mut self.passed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn accept(listener: TcpListener, target: Arc<Target>) {
    while let Ok((connection, _)) = listener.accept().await {
        let target = Arc::clone(&target);
        tokio::spawn(async move {
            let service = service_fn(|request| pass_on(request, &target));
            // The client may close a connection whenever it likes.
            let _ =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

async fn pass_on(request: Request<Incoming>, target: &Target) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole request").to_bytes();
    let url = format!("{}{}", target.url, head.uri);
    let sent = target.client.request(head.method.clone(), url).headers(end_to_end(&head.headers)).body(body);
    let answer = sent.send().await.expect("an answer of the target");
    target.passed.lock().unwrap_or_else(PoisonError::into_inner).push(Passed {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        operation: head.headers.get("x-amz-target").map_or("", |name| name.to_str().expect("text")).to_owned(),
    });
    let (status, headers) = (answer.status(), end_to_end(answer.headers()));
    let mut response = Response::new(Full::new(answer.bytes().await.expect("a whole answer")));
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    Ok(response)
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
    headers
}
