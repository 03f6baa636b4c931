//! An archive in the object store, read in parts: its end first, then what is asked for.
//!
//! All parts are of one object: its tag (`If-Range` where it is a strong one), its length and its hashes are compared with
//! those of the first answer. What a response means:
//!
//! | response | then |
//! | --- | --- |
//! | 206 | take it, if it carries exactly the bytes that were asked for; else try again |
//! | 206 or 200 of another object, 416 | [`Fetched::Replaced`]: what is there is worth nothing |
//! | 200 of the same object | [`Fetched::Unranged`]: the store sends no parts |
//! | a cut or silent body | wait, then go on where it stopped |
//! | anything else | see [`super::object`] |

use std::ops::Range;

use reqwest::{Response, StatusCode};

use super::api::{Api, network};
use super::download::ensure_space;
use super::headers::is_strong;
use super::object::{Object, STORE};
use super::partial::Head;
use super::retry::{Failed, Retries};
use super::verify::Offered;
use super::{Progress, fault};
use crate::config::Dataset;
use crate::error::Result;
use crate::request::Deadline;
use crate::source::archive::parts::Parts;

/// How much of an archive's end is fetched first: its end records, and the directory of up to some thousand members.
pub(super) const TAIL: u64 = 128 << 10;

/// How fetching a part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The part is there.
    Done,
    /// The object is another one than before.
    Replaced,
    /// The store sends whole objects only.
    Unranged,
}

/// The archive of one version, read in parts.
pub(super) struct Remote<'a> {
    object: Object<'a>,
    retries: Retries<'a>,
    identity: Identity,
}

/// The end of an archive.
pub(super) struct Tail {
    pub(super) first: u64,
    pub(super) bytes: Vec<u8>,
}

/// What tells one object from another.
#[derive(Clone, Debug, Default)]
struct Identity {
    etag: Option<String>,
    total: u64,
    offered: Offered,
}

impl<'a> Remote<'a> {
    /// The archive with its end; `None` where the store does not send parts.
    pub(super) async fn open(
        api: &'a Api,
        dataset: &'a Dataset,
        version: u64,
        deadline: Deadline,
    ) -> Result<Option<(Self, Tail)>> {
        let retries = Retries::new(api.settings(), deadline);
        let object = Object::new(api, dataset, version, deadline);
        let mut remote = Self { object, retries, identity: Identity::default() };
        loop {
            match remote.tail().await {
                Ok(tail) => return Ok(tail.map(|tail| (remote, tail))),
                Err(failed) => remote.pause(failed).await?,
            }
        }
    }

    /// The length of the archive in bytes.
    pub(super) fn len(&self) -> u64 {
        self.identity.total
    }

    /// Brings the bytes in `range` to `parts`.
    pub(super) async fn fetch(
        &mut self,
        range: Range<u64>,
        parts: &mut Parts,
        progress: Progress<'_>,
    ) -> Result<Fetched> {
        let margin = self.object.api.settings().disk_margin;
        ensure_space(parts.folder(), (range.end - range.start).saturating_add(margin))?;
        let mut at = range.start;
        while at < range.end {
            match self.part(&mut at, range.end, parts, progress).await {
                Ok(Fetched::Done) => {}
                Ok(other) => return Ok(other),
                Err(failed) => self.pause(failed).await?,
            }
        }
        Ok(Fetched::Done)
    }

    async fn pause(&mut self, failed: Failed) -> Result<()> {
        if matches!(failed, Failed::Expired(_)) {
            self.object.renew();
        }
        self.retries.pause(failed).await
    }

    /// The last bytes, and with them what the archive is known by from now on.
    async fn tail(&mut self) -> Result<Option<Tail>, Failed> {
        let mut response = self.object.get(Some(&format!("bytes=-{TAIL}")), None).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => return Ok(None),
            _ => return Err(self.object.refused(response).await),
        }
        let head = Head::new(response.headers());
        let range = head.range.filter(|range| range.last + 1 == range.total && range.total - range.first <= TAIL);
        let range = range.ok_or_else(another_part)?;
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| network(STORE, error))? {
            if (bytes.len() + piece.len()) as u64 > range.total - range.first {
                return Err(another_part());
            }
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() as u64 != range.total - range.first {
            return Err(cut());
        }
        self.identity = Identity { etag: head.etag, total: range.total, offered: head.offered };
        Ok(Some(Tail { first: range.first, bytes }))
    }

    /// One try for the bytes from `at`, which moves on as they come.
    async fn part(
        &mut self,
        at: &mut u64,
        end: u64,
        parts: &mut Parts,
        progress: Progress<'_>,
    ) -> Result<Fetched, Failed> {
        let asked = format!("bytes={at}-{}", end - 1);
        let response = self.object.get(Some(&asked), self.identity.tag()).await?;
        let head = Head::new(response.headers());
        match response.status() {
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Fetched::Replaced),
            StatusCode::OK if self.identity.is_of(&head, head.length) => return Ok(Fetched::Unranged),
            StatusCode::OK => return Ok(Fetched::Replaced),
            StatusCode::PARTIAL_CONTENT => {}
            _ => return Err(self.object.refused(response).await),
        }
        let Some(range) = head.range else { return Err(another_part()) };
        if !self.identity.is_of(&head, Some(range.total)) {
            return Ok(Fetched::Replaced);
        }
        if range.first != *at || range.last + 1 != end {
            return Err(another_part());
        }
        receive(response, at, end, parts, progress).await
    }
}

async fn receive(
    mut response: Response,
    at: &mut u64,
    end: u64,
    parts: &mut Parts,
    progress: Progress<'_>,
) -> Result<Fetched, Failed> {
    while let Some(piece) = response.chunk().await.map_err(|error| network(STORE, error))? {
        if *at + piece.len() as u64 > end {
            return Err(another_part());
        }
        parts.write(*at, &piece)?;
        *at += piece.len() as u64;
        progress(parts.present(), Some(parts.present() + end - *at));
    }
    if *at < end { Err(cut()) } else { Ok(Fetched::Done) }
}

impl Identity {
    /// The tag, where equal ones mean equal bytes.
    fn tag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| is_strong(etag))
    }

    /// Whether an answer about an object of `total` bytes is about this one, as far as it says.
    fn is_of(&self, head: &Head, total: Option<u64>) -> bool {
        total == Some(self.total) && head.etag == self.etag && head.offered == self.offered
    }
}

fn another_part() -> Failed {
    Failed::passing(fault::unavailable(STORE, "sent another part of the archive than was asked for"))
}

fn cut() -> Failed {
    Failed::passing(fault::unavailable(STORE, "ended a part of the archive before its end"))
}
