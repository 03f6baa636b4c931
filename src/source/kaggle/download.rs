//! The download of one archive: link, bytes, resume, check.
//!
//! A loop of tries over one [`Partial`]. What a response means:
//!
//! | response | then |
//! | --- | --- |
//! | 200 | the whole object: begin again with it, whatever was asked for |
//! | 206 | append, if it carries exactly the missing bytes of the same object; else discard and try again |
//! | 416 | discard and fetch the whole |
//! | a cut or silent body | wait, then go on where it stopped |
//! | anything else | see [`super::object`]; the bytes are kept |

use std::path::Path;

use reqwest::{Response, StatusCode};

use super::api::{Api, network};
use super::object::{Object, STORE};
use super::partial::{Head, Misfit, Partial};
use super::retry::{Failed, Retries};
use super::{Archive, Progress, fault};
use crate::config::Dataset;
use crate::error::Result;
use crate::request::Deadline;

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
    let mut retries = Retries::new(api.settings(), deadline);
    let object = Object::new(api, dataset, version, deadline);
    let mut download = Download { object, into, progress, partial };
    loop {
        let Err(failed) = download.attempt().await else { return download.partial.keep().await };
        match &failed {
            Failed::Expired(_) => download.object.renew(),
            Failed::Corrupt(_) => download.partial.discard().await?,
            Failed::Fatal(_) | Failed::Passing { .. } => {}
        }
        retries.pause(failed).await?;
    }
}

struct Download<'a> {
    object: Object<'a>,
    into: &'a Path,
    progress: Progress<'a>,
    partial: Partial,
}

impl Download<'_> {
    /// One try: from what is there to the complete and checked bytes.
    async fn attempt(&mut self) -> Result<(), Failed> {
        let resume = self.partial.resume_point().map(|(first, tag)| (format!("bytes={first}-"), tag));
        let (range, tag) = resume.as_ref().map_or((None, None), |(range, tag)| (Some(range.as_str()), Some(*tag)));
        let response = self.object.get(range, tag).await?;
        match response.status() {
            StatusCode::OK => self.restart(&response).await?,
            StatusCode::PARTIAL_CONTENT => self.resume(&response).await?,
            _ => return Err(self.refused(response).await),
        }
        self.receive(response).await?;
        self.check()
    }

    async fn restart(&mut self, response: &Response) -> Result<()> {
        self.partial.restart(Head::new(response.headers())).await?;
        if let Some(needed) = self.partial.total() {
            ensure_space(self.into, needed.saturating_add(self.object.api.settings().disk_margin))?;
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
            let (dataset, version) = (self.object.dataset, self.object.version);
            tracing::warn!(%dataset, version, "the store offered no hash: only the zip's own checks remain");
        }
        Ok(())
    }

    /// What a response without archive bytes means.
    async fn refused(&mut self, response: Response) -> Failed {
        let status = response.status();
        if status != StatusCode::RANGE_NOT_SATISFIABLE {
            return self.object.refused(response).await;
        }
        self.partial.discard().await.map_or_else(Failed::Fatal, |()| {
            Failed::passing(fault::unavailable_status(STORE, status, " to the rest of the archive"))
        })
    }

    fn unfit(&self, misfit: Misfit) -> Failed {
        let (dataset, version) = (self.object.dataset, self.object.version);
        match misfit {
            Misfit::TooLong => self.damaged("more bytes than announced"),
            Misfit::NoZip(Some(foreign)) if foreign.lasting => Failed::Fatal(fault::foreign(dataset, version, foreign)),
            Misfit::NoZip(foreign) => {
                let what = foreign.map_or("something other than", |_| "an HTML page in place of");
                let problem = format!("sent {what} a zip archive for {dataset}, version {version}");
                fault::answer(STORE, &problem).into()
            }
        }
    }

    fn damaged(&self, damage: &str) -> Failed {
        Failed::Corrupt(fault::corrupt(self.object.dataset, self.object.version, damage))
    }
}

pub(super) fn ensure_space(folder: &Path, needed: u64) -> Result<()> {
    let disk = rustix::fs::statvfs(folder).map_err(|error| fault::disk(folder, error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed { Err(fault::disk_full(folder, needed, free)) } else { Ok(()) }
}
