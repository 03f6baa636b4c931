//! The download of one archive: link, bytes, resume, check.
//!
//! A loop of tries over one [`Partial`]. What a response means:
//!
//! | response | then |
//! | --- | --- |
//! | 200 | the whole object: begin again with it, whatever was asked for |
//! | 206 | append, if it carries exactly the missing bytes of the same object; else discard and try again |
//! | 416 | discard and fetch the whole |
//! | 400, 401, 403 | the link has expired: ask the API for a new one, keep the bytes |
//! | 404 | the archive is not there yet, or no longer |
//! | 408, 429, 5xx, a cut or silent body | wait, then go on where it stopped |

use std::path::Path;

use reqwest::header::{ACCEPT_ENCODING, IF_RANGE, LOCATION, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;

use super::answer::xml_code;
use super::api::{Api, is_redirect, network, passing_status, read_body};
use super::partial::{Head, Misfit, Partial};
use super::retry::{Failed, Retries};
use super::{Archive, Progress, fault, headers};
use crate::config::Dataset;
use crate::error::{Error, Result};
use crate::trigger::Deadline;

/// The object store's name in messages.
const STORE: &str = "Kaggle's storage";

/// Redirects from one link; there is normally none.
const MOST_HOPS: usize = 5;

/// More than any error of an object store.
const LONGEST_ERROR: usize = 64 << 10;

/// Fetches and checks the archive of one version; see [`super::Kaggle::download`].
pub(super) async fn fetch(
    api: &Api,
    dataset: &Dataset,
    version: u64,
    into: &Path,
    deadline: Deadline,
    progress: Progress<'_>,
) -> Result<Archive> {
    let partial = Partial::create(into, dataset, version).await?;
    let mut retries = Retries::new(api.settings(), deadline, format!("{dataset} {version}"));
    let mut download = Download { api, dataset, version, into, deadline, progress, partial, link: None };
    loop {
        let Err(failed) = download.attempt().await else { return download.partial.keep().await };
        match &failed {
            Failed::Expired(_) => download.link = None,
            Failed::Corrupt(_) => download.partial.discard().await?,
            Failed::Fatal(_) | Failed::Passing { .. } => {}
        }
        retries.pause(failed).await?;
    }
}

struct Download<'a> {
    api: &'a Api,
    dataset: &'a Dataset,
    version: u64,
    into: &'a Path,
    deadline: Deadline,
    progress: Progress<'a>,
    partial: Partial,
    link: Option<Url>,
}

impl Download<'_> {
    /// One try: from what is there to the complete and checked bytes.
    async fn attempt(&mut self) -> Result<(), Failed> {
        let link = self.link().await?;
        let response = self.follow(link).await?;
        match response.status() {
            StatusCode::OK => self.restart(&response).await?,
            StatusCode::PARTIAL_CONTENT => self.resume(&response).await?,
            _ => return Err(self.refused(response).await),
        }
        self.receive(response).await?;
        self.check()
    }

    /// The signed link in use; a new one from the API when there is none.
    async fn link(&mut self) -> Result<Url> {
        if let Some(link) = &self.link {
            return Ok(link.clone());
        }
        let Some(link) = self.api.link(self.dataset, self.version, self.deadline).await? else {
            return Err(self.missing().await);
        };
        self.link = Some(link.clone());
        Ok(link)
    }

    async fn follow(&self, mut url: Url) -> Result<Response, Failed> {
        for _ in 0..MOST_HOPS {
            let response = self.get(&url).await?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            url = self.api.redirected(&url, location.unwrap_or_default())?;
        }
        Err(fault::answer(STORE, "redirects without end").into())
    }

    /// No content coding, so that lengths and hashes speak of the bytes received.
    async fn get(&self, url: &Url) -> Result<Response, Failed> {
        let mut request = self.api.get(url).await?.header(ACCEPT_ENCODING, "identity");
        if let Some((first, etag)) = self.partial.resume_point() {
            request = request.header(RANGE, format!("bytes={first}-")).header(IF_RANGE, etag);
        }
        request.send().await.map_err(|error| network(STORE, error))
    }

    async fn restart(&mut self, response: &Response) -> Result<()> {
        self.partial.restart(Head::new(response.headers())).await?;
        if let Some(needed) = self.partial.total() {
            ensure_space(self.into, needed.saturating_add(self.api.settings().disk_margin))?;
        }
        Ok(())
    }

    async fn resume(&mut self, response: &Response) -> Result<(), Failed> {
        if self.partial.accept(&Head::new(response.headers())) {
            return Ok(());
        }
        self.partial.discard().await?;
        Err(Failed::passing(fault::unavailable(STORE, "sent another part of the archive than was asked for")))
    }

    async fn receive(&mut self, mut response: Response) -> Result<(), Failed> {
        while let Some(piece) = response.chunk().await.map_err(|error| network(STORE, error))? {
            self.partial.fits(&piece).map_err(|misfit| self.unfit(misfit))?;
            self.partial.append(&piece).await?;
            (self.progress)(self.partial.len(), self.partial.total());
        }
        if self.partial.is_short() {
            return Err(Failed::passing(fault::unavailable(STORE, "ended the archive before its end")));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Failed> {
        if let Some(damage) = self.partial.damage() {
            return Err(self.damaged(&damage));
        }
        if !self.partial.is_checkable() {
            let (dataset, version) = (self.dataset, self.version);
            tracing::warn!(%dataset, version, "the store offered no hash: only the zip's own checks remain");
        }
        Ok(())
    }

    /// What a response without archive bytes means. Its body goes into no file.
    async fn refused(&mut self, response: Response) -> Failed {
        let status = response.status();
        let at_least = headers::retry_after(response.headers()).unwrap_or_default();
        if status == StatusCode::NOT_FOUND {
            return self.missing().await.into();
        }
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            return self.partial.discard().await.map_or_else(Failed::Fatal, |()| {
                Failed::passing(fault::unavailable_status(STORE, status, " to the rest of the archive"))
            });
        }
        let body = read_body(response, STORE, LONGEST_ERROR).await.unwrap_or_default();
        let words = xml_code(&body).map(|code| format!(": {code}")).unwrap_or_default();
        match status {
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Failed::Expired(fault::unavailable_status(STORE, status, &words))
            }
            _ => passing_status(STORE, status, &words, at_least),
        }
    }

    /// Tells "not yet" from "no longer" by asking which version is current.
    async fn missing(&self) -> Error {
        let current = match self.api.dataset(self.dataset, self.deadline).await {
            Ok(info) => info.current(self.dataset),
            Err(error) => Err(error),
        };
        match current {
            Ok(current) if current > self.version => fault::version_gone(self.dataset, self.version, current),
            Ok(_) => fault::version_not_ready(self.dataset, self.version, "404"),
            Err(error) => error,
        }
    }

    fn unfit(&self, misfit: Misfit) -> Failed {
        let (dataset, version) = (self.dataset, self.version);
        match misfit {
            Misfit::TooLong => self.damaged("more bytes than announced"),
            Misfit::NoZip => {
                let problem = format!("sent something other than a zip archive for {dataset}, version {version}");
                fault::answer(STORE, &problem).into()
            }
        }
    }

    fn damaged(&self, damage: &str) -> Failed {
        Failed::Corrupt(fault::corrupt(self.dataset, self.version, damage))
    }
}

fn ensure_space(folder: &Path, needed: u64) -> Result<()> {
    let disk = rustix::fs::statvfs(folder).map_err(|error| fault::disk(folder, error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed { Err(fault::disk_full(folder, needed, free)) } else { Ok(()) }
}
