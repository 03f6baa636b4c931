//! Lambda's Runtime API on loopback, for the binary as a function: it hands out events and takes the answers.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

/// Paths of the version of the API that every runtime speaks.
const INVOCATION: &str = "/2018-06-01/runtime/invocation/";

/// The API; it ends with the runtime of the test.
pub(crate) struct RuntimeApi {
    /// Host and port, as `AWS_LAMBDA_RUNTIME_API` has them.
    pub(crate) address: String,
    events: mpsc::UnboundedSender<Invocation>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
}

/// What the function answered to an invocation.
#[derive(Debug)]
pub(crate) enum Outcome {
    Response(Value),
    Error { error_type: String, error_message: String },
}

struct Invocation {
    request_id: String,
    deadline_ms: u64,
    payload: Value,
}

struct Sides {
    events: Mutex<mpsc::UnboundedReceiver<Invocation>>,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

impl RuntimeApi {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (events, waiting) = mpsc::unbounded_channel();
        let (done, outcomes) = mpsc::unbounded_channel();
        tokio::spawn(accept(listener, Arc::new(Sides { events: Mutex::new(waiting), outcomes: done })));
        Self { address, events, outcomes }
    }

    /// Hands out one event, and waits for the answer to it.
    pub(crate) async fn invoke(&mut self, request_id: &str, deadline_ms: u64, payload: Value) -> Outcome {
        let invocation = Invocation { request_id: request_id.to_owned(), deadline_ms, payload };
        self.events.send(invocation).expect("a running server");
        self.outcomes.recv().await.expect("a running server")
    }
}

async fn accept(listener: TcpListener, sides: Arc<Sides>) {
    while let Ok((connection, _)) = listener.accept().await {
        let sides = Arc::clone(&sides);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &sides));
            // The function's connections end with its process.
            let _ =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, sides: &Sides) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.expect("a whole request").to_bytes();
    // `cargo lambda watch` has all its functions on one port, each below a path of its own.
    let response = match path.split_once(INVOCATION).map(|(_, call)| call) {
        Some("next") => return Ok(next(sides).await),
        Some(call) if call.ends_with("/response") => {
            sides.outcomes.send(Outcome::Response(serde_json::from_slice(&body).expect("a JSON answer")))
        }
        Some(call) if call.ends_with("/error") => sides.outcomes.send(error(&body)),
        _ => panic!("the function called {path}"),
    };
    response.expect("a waiting test");
    let mut accepted = Response::new(Full::default());
    *accepted.status_mut() = StatusCode::ACCEPTED;
    Ok(accepted)
}

/// Waits for an event as long as it takes, as Lambda does.
async fn next(sides: &Sides) -> Response<Full<Bytes>> {
    let Some(invocation) = sides.events.lock().await.recv().await else { return std::future::pending().await };
    Response::builder()
        .header("lambda-runtime-aws-request-id", invocation.request_id)
        .header("lambda-runtime-deadline-ms", invocation.deadline_ms)
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:cdc-to-s3")
        .header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0")
        .header("content-type", "application/json")
        .body(Full::new(invocation.payload.to_string().into()))
        .expect("a valid answer")
}

fn error(body: &[u8]) -> Outcome {
    let body: Value = serde_json::from_slice(body).expect("a JSON error");
    let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name} in the error")).to_owned();
    Outcome::Error { error_type: text("errorType"), error_message: text("errorMessage") }
}
