//! The HTTP server beneath both faces, and bodies that fail on purpose.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Collected, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, DATE as DATE_HEADER, HeaderMap, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Shared;
use super::fault::Fault;

/// The `Date` of every response.
pub(crate) const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// Bytes of a piece of a body.
const PIECE: usize = 64 << 10;

/// Long enough for what was written before a cut to reach the client.
const BEFORE_CUT: Duration = Duration::from_millis(20);

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A request, read whole.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers as text.
    pub(super) fn header_texts(&self) -> BTreeMap<String, String> {
        let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        self.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
    }
}

/// Serves connections until the task is aborted, and these with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, answer: fn(&Shared, &Asked) -> Response<Body>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request: Request<Incoming>| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(answer(&shared, &read(request).await)) }
        });
        // A connection that a client or a fault broke off is what the tests are about.
        connections
            .spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) });
    }
}

async fn read(request: Request<Incoming>) -> Asked {
    let (head, body) = request.into_parts();
    Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.collect().await.map(Collected::to_bytes).unwrap_or_default(),
    }
}

/// A response with a short text, changed by the fault's `retry_after`, `cut_after`, `stall_after` and `drip`.
pub(super) fn text(status: u16, kind: &str, text: String, fault: &Fault) -> Response<Body> {
    let mut response = Response::new(body(text.into(), fault));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set(&mut response, CONTENT_TYPE, kind);
    set(&mut response, DATE_HEADER, DATE);
    if let Some(wait) = &fault.retry_after {
        set(&mut response, RETRY_AFTER, wait);
    }
    response
}

/// Sets a header; a value that no header can carry is left out.
pub(super) fn set(response: &mut Response<Body>, name: hyper::header::HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        response.headers_mut().append(name, value);
    }
}

/// The bytes in pieces, with the fault's cut, silence or slowness.
pub(super) fn body(bytes: Bytes, fault: &Fault) -> Body {
    let shown = fault.cut_after.or(fault.stall_after).map_or(bytes.len(), |limit| limit.min(bytes.len()));
    let pause = fault.drip.map(super::Drip::pause);
    let piece = fault.drip.map_or(PIECE, |drip| drip.bytes.max(1));
    let starts = (0..shown).step_by(piece);
    let pieces: Vec<_> = starts.map(|start| bytes.slice(start..shown.min(start + piece))).collect();
    let good = stream::iter(pieces).then(move |piece| async move {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        Ok(Frame::data(piece))
    });
    let (cut, stall) = (fault.cut_after.is_some(), fault.stall_after.is_some());
    let end = stream::once(async move {
        match (cut, stall) {
            (true, _) => tokio::time::sleep(BEFORE_CUT).await,
            (false, true) => std::future::pending().await,
            (false, false) => return None,
        }
        Some(Err(io::Error::from(io::ErrorKind::ConnectionReset)))
    });
    StreamBody::new(good.chain(end.filter_map(std::future::ready))).boxed_unsync()
}
