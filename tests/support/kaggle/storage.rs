//! The object store: signed links to whole archives.

use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE as DATE_HEADER, ETAG, LOCATION};
use hyper::{Response, StatusCode};
use md5::{Digest, Md5};

use super::fault::{Fault, Hashes};
use super::http::{Asked, Body, DATE, body, set, text};
use super::{Endpoint, Seen, Shared, State};

/// In the path of an archive; the real one is not the version's number either.
const FIRST_VERSION_ID: u64 = 7000;

/// A link to an archive, good until links expire.
pub(super) fn sign(state: &mut State, storage: SocketAddr, version: u64) -> String {
    state.links += 1;
    let (id, link) = (FIRST_VERSION_ID + version, state.links);
    format!(
        "http://{storage}/kaggle-data-sets/4242/{id}/bundle/archive.zip?X-Goog-Algorithm=GOOG4-RSA-SHA256\
         &X-Goog-Credential=stand-in&X-Goog-Date=20260101T000000Z&X-Goog-Expires=259200&X-Goog-SignedHeaders=host\
         &X-Goog-Signature={link:064x}"
    )
}

pub(super) fn answer(shared: &Shared, asked: &Asked) -> Response<Body> {
    let mut state = shared.state();
    state.requests.push(Seen {
        endpoint: Some(Endpoint::Storage),
        method: asked.method.clone(),
        path: asked.path.clone(),
        headers: asked.header_texts(),
        input: serde_json::Value::Null,
    });
    let fault = state.next_fault(Endpoint::Storage);
    if let Some(answer) = faulty(&fault) {
        return answer;
    }
    if let Some((status, code)) = refusal(&state, asked) {
        return xml(status, code, &fault);
    }
    match version(&asked.path).and_then(|version| state.archives.get(&version)) {
        Some(archive) => object(archive, asked, &fault),
        None => xml(404, "NoSuchKey", &fault),
    }
}

fn faulty(fault: &Fault) -> Option<Response<Body>> {
    if let Some(location) = &fault.redirect {
        let mut response = text(302, "text/html", String::new(), fault);
        set(&mut response, LOCATION, location);
        return Some(response);
    }
    match (&fault.body, fault.status) {
        (Some(body), status) => Some(text(status.unwrap_or(200), "text/html", body.clone(), fault)),
        (None, Some(status)) => Some(xml(status, "Scripted", fault)),
        (None, None) => None,
    }
}

fn refusal(state: &State, asked: &Asked) -> Option<(u16, &'static str)> {
    if asked.header("authorization").is_some() {
        return Some((400, "InvalidArgument"));
    }
    let signature = asked.query.split('&').find_map(|pair| pair.strip_prefix("X-Goog-Signature="));
    let link = signature.and_then(|hex| u64::from_str_radix(hex, 16).ok());
    match link {
        _ if asked.method != "GET" => Some((403, "SignatureDoesNotMatch")),
        Some(link) if link > state.expired && link <= state.links => None,
        Some(link) if link > 0 && link <= state.links => Some((400, "ExpiredToken")),
        _ => Some((403, "SignatureDoesNotMatch")),
    }
}

fn version(path: &str) -> Option<u64> {
    let id = path.strip_prefix("/kaggle-data-sets/4242/")?.strip_suffix("/bundle/archive.zip")?;
    id.parse::<u64>().ok()?.checked_sub(FIRST_VERSION_ID)
}

/// An archive or the part of it that was asked for.
fn object(archive: &Bytes, asked: &Asked, fault: &Fault) -> Response<Body> {
    let total = archive.len();
    let etag = fault.etag.clone().unwrap_or_else(|| format!("\"{}\"", hex(&Md5::digest(archive))));
    let range = asked.header("range").and_then(|range| wanted(range.strip_prefix("bytes=")?, total));
    let same = asked.header("if-range").is_none_or(|tag| tag == etag);
    let mut response = match range {
        Some((first, end)) if same && !fault.ignore_range && first >= end => xml(416, "InvalidRange", fault),
        Some((first, end)) if same && !fault.ignore_range => part(archive, first, end, fault),
        _ => bytes(StatusCode::OK, archive.clone(), fault),
    };
    set(&mut response, ACCEPT_RANGES, "bytes");
    if !etag.is_empty() {
        set(&mut response, ETAG, &etag);
    }
    for line in hash_lines(archive, fault.hashes) {
        set(&mut response, hyper::header::HeaderName::from_static("x-goog-hash"), &line);
    }
    response
}

/// The first byte and the end of `first-`, `first-last` or `-count`; nothing is between them where it cannot be satisfied.
fn wanted(range: &str, total: usize) -> Option<(usize, usize)> {
    match range.split_once('-')? {
        ("", count) => Some((total.saturating_sub(count.parse().ok()?), total)),
        (first, "") => Some((first.parse().ok()?, total)),
        (first, last) => Some((first.parse().ok()?, last.parse::<usize>().ok()?.saturating_add(1).min(total))),
    }
}

fn part(archive: &Bytes, first: usize, end: usize, fault: &Fault) -> Response<Body> {
    let right = format!("bytes {first}-{}/{}", end - 1, archive.len());
    let mut response = bytes(StatusCode::PARTIAL_CONTENT, archive.slice(first..end), fault);
    set(&mut response, CONTENT_RANGE, fault.content_range.as_ref().unwrap_or(&right));
    response
}

fn bytes(status: StatusCode, mut content: Bytes, fault: &Fault) -> Response<Body> {
    let len = content.len();
    if fault.corrupt {
        let mut damaged = content.to_vec();
        damaged.get_mut(len / 2).into_iter().for_each(|byte| *byte ^= 1);
        content = damaged.into();
    }
    let mut response = Response::new(body(content, fault));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "application/zip");
    set(&mut response, DATE_HEADER, DATE);
    if !fault.no_length {
        set(&mut response, CONTENT_LENGTH, &len.to_string());
    }
    response
}

/// The hashes of the whole archive, also for a part of it.
fn hash_lines(archive: &[u8], hashes: Hashes) -> Vec<String> {
    let crc32c = format!("crc32c={}", BASE64_STANDARD.encode(crc32c::crc32c(archive).to_be_bytes()));
    let md5 = format!("md5={}", BASE64_STANDARD.encode(Md5::digest(archive)));
    match hashes {
        Hashes::Joined => vec![format!("{crc32c},{md5}")],
        Hashes::Lines => vec![crc32c, md5],
        Hashes::Crc32c => vec![crc32c],
        Hashes::Md5 => vec![md5],
        Hashes::None => Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn xml(status: u16, code: &str, fault: &Fault) -> Response<Body> {
    let body = format!("<?xml version='1.0'?><Error><Code>{code}</Code><Message>stand-in</Message></Error>");
    text(status, "application/xml", body, fault)
}
