//! One archive in the object store: its signed link, requests for it, and what a refusal means.
//!
//! | refusal | then |
//! | --- | --- |
//! | 400, 401, 403 | the link has expired: ask the API for a new one |
//! | 404 | the archive is not there yet, or no longer |
//! | 408, 429, 5xx | wait, then try again |

use reqwest::header::{ACCEPT_ENCODING, IF_RANGE, LOCATION, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;

use super::answer::xml_code;
use super::api::{Api, is_redirect, network, passing_status, read_body};
use super::retry::Failed;
use super::{fault, headers};
use crate::config::Dataset;
use crate::error::{Error, Result};
use crate::request::Deadline;

/// The object store's name in messages.
pub(super) const STORE: &str = "Kaggle's storage";

/// Redirects from one link; there is normally none.
const MOST_HOPS: usize = 5;

/// More than any error of an object store.
const LONGEST_ERROR: usize = 64 << 10;

/// The archive of one version.
pub(super) struct Object<'a> {
    pub(super) api: &'a Api,
    pub(super) dataset: &'a Dataset,
    pub(super) version: u64,
    deadline: Deadline,
    link: Option<Url>,
}

impl<'a> Object<'a> {
    pub(super) fn new(api: &'a Api, dataset: &'a Dataset, version: u64, deadline: Deadline) -> Self {
        Self { api, dataset, version, deadline, link: None }
    }

    /// Lets the next request ask the API for a new link.
    pub(super) fn renew(&mut self) {
        self.link = None;
    }

    /// The answer to a request for the bytes in `range`, or for all of them. With a tag the store is to send a part of that
    /// very object, or the whole of another one. No content coding, so that lengths and hashes speak of the bytes received.
    pub(super) async fn get(&mut self, range: Option<&str>, tag: Option<&str>) -> Result<Response, Failed> {
        let mut url = self.link().await?;
        for _ in 0..MOST_HOPS {
            let mut request = self.api.get(&url).await?.header(ACCEPT_ENCODING, "identity");
            if let Some(range) = range {
                request = request.header(RANGE, range);
            }
            if let Some(tag) = tag {
                request = request.header(IF_RANGE, tag);
            }
            let response = request.send().await.map_err(|error| network(STORE, error))?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            url = self.api.redirected(&url, location.unwrap_or_default())?;
        }
        Err(fault::answer(STORE, "redirects without end").into())
    }

    /// What a response without bytes of the archive means. Its body goes into no file.
    pub(super) async fn refused(&self, response: Response) -> Failed {
        let status = response.status();
        let at_least = headers::retry_after(response.headers()).unwrap_or_default();
        if status == StatusCode::NOT_FOUND {
            return self.missing().await.into();
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

    /// Tells "not yet" from "never" and "no longer" by asking which version is current, and what its status is.
    async fn missing(&self) -> Error {
        let (dataset, version) = (self.dataset, self.version);
        let known = self.api.dataset(dataset, self.deadline).await;
        match known.and_then(|info| Ok((info.current(dataset)?, info))) {
            Ok((current, _)) if current > version => fault::version_gone(dataset, version, current),
            Ok((_, info)) => {
                info.obstacle(dataset, version).unwrap_or_else(|| fault::version_not_ready(dataset, version, "404"))
            }
            Err(error) => error,
        }
    }
}
