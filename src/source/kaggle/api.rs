//! Calls of the API: `POST {endpoint}/v1/datasets.DatasetApiService/{Method}`, JSON in, JSON or a redirect out.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::answer::{Complaint, DatasetInfo};
use super::retry::{Failed, Retries};
use super::{Settings, fault, headers};
use crate::config::Dataset;
use crate::error::{Error, Result};
use crate::request::Deadline;
use crate::secrets::{CredentialCache, KaggleCredentials};

/// The API's name in messages.
const API: &str = "Kaggle's API";

/// More than any answer of the methods used here; what is longer is no such answer.
const LONGEST_ANSWER: usize = 16 << 20;

/// The API at one address, with connections and credentials.
pub(super) struct Api {
    http: Client,
    endpoint: Url,
    credentials: Arc<CredentialCache>,
    settings: Settings,
}

/// An answer that is no error.
struct Reply {
    status: StatusCode,
    location: Option<String>,
    body: Vec<u8>,
}

impl Api {
    pub(super) fn new(endpoint: &str, credentials: Arc<CredentialCache>, settings: Settings) -> Result<Self> {
        let http = Client::builder()
            .user_agent(concat!("cdc-to-s3/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.idle_timeout)
            .build()
            .map_err(|error| Error::internal("HttpClient", "cannot set up TLS").caused_by(error))?;
        Ok(Self { http, endpoint: parse_endpoint(endpoint)?, credentials, settings })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Scheme, host and port, for people.
    pub(super) fn origin(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }

    /// `GetDataset`.
    pub(super) async fn dataset(&self, dataset: &Dataset, deadline: Deadline) -> Result<DatasetInfo> {
        let reply = self.call("GetDataset", dataset, None, deadline).await?;
        let reply = reply.ok_or_else(|| fault::dataset_not_found(dataset))?;
        serde_json::from_slice(&reply.body)
            .map_err(|error| fault::answer(API, "sent an answer to GetDataset that is not understood").caused_by(error))
    }

    /// `DownloadDataset`: the signed link to the archive of one version; `None` when there is no such archive.
    pub(super) async fn link(&self, dataset: &Dataset, version: u64, deadline: Deadline) -> Result<Option<Url>> {
        let Some(reply) = self.call("DownloadDataset", dataset, Some(version), deadline).await? else {
            return Ok(None);
        };
        match reply.location {
            Some(location) if is_redirect(reply.status) => self.redirected(&self.endpoint, &location).map(Some),
            _ => Err(fault::answer(API, "did not answer DownloadDataset with a redirect")),
        }
    }

    /// Where a redirect leads from `base`. Never to less protection than the API's own address has.
    pub(super) fn redirected(&self, base: &Url, location: &str) -> Result<Url> {
        let refused = |problem| fault::answer(API, &format!("redirects to an address {problem}"));
        let target = base.join(location).map_err(|error| refused("that cannot be read").caused_by(error))?;
        match target.scheme() {
            "https" => {}
            "http" if self.endpoint.scheme() == "http" => {}
            _ => return Err(refused("without TLS")),
        }
        if !target.username().is_empty() || target.password().is_some() {
            return Err(refused("that holds credentials"));
        }
        Ok(target)
    }

    /// A plain GET of `url`; with credentials only where `url` has the API's own origin.
    pub(super) async fn get(&self, url: &Url) -> Result<RequestBuilder> {
        let request = self.http.get(url.clone());
        if url.origin() != self.endpoint.origin() {
            return Ok(request);
        }
        Ok(signed(request, &*self.credentials.kaggle().await?))
    }

    /// Calls a method until it answers or the retries are used up; `None` is a 404.
    async fn call(
        &self,
        method: &str,
        dataset: &Dataset,
        version: Option<u64>,
        deadline: Deadline,
    ) -> Result<Option<Reply>> {
        let mut input = json!({"ownerSlug": dataset.owner(), "datasetSlug": dataset.slug()});
        if let Some(version) = version {
            input["datasetVersionNumber"] = version.into();
        }
        let mut retries = Retries::new(&self.settings, deadline);
        loop {
            match self.try_call(method, dataset, &input).await {
                Ok(reply) => return Ok(reply),
                Err(failed) => retries.pause(failed).await?,
            }
        }
    }

    /// One call, or two: a 401 is put to the test once with renewed credentials, if there are other ones.
    async fn try_call(&self, method: &str, dataset: &Dataset, input: &Value) -> Result<Option<Reply>, Failed> {
        let credentials = self.credentials.kaggle().await?;
        let mut answer = self.send(method, input, &credentials).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            let renewed = self.credentials.renew_kaggle(&credentials).await?;
            if renewed != credentials {
                answer = self.send(method, input, &renewed).await?;
            }
        }
        answer.judge(dataset)
    }

    async fn send(&self, method: &str, input: &Value, credentials: &KaggleCredentials) -> Result<Answer, Failed> {
        let url = self.endpoint.join(&format!("v1/datasets.DatasetApiService/{method}"));
        let url = url.map_err(|error| fault::endpoint("cannot be extended").caused_by(error))?;
        let request = self.http.post(url).timeout(self.settings.call_timeout).header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/json").body(input.to_string());
        Answer::read(signed(request, credentials).send().await.map_err(|error| network(API, error))?).await
    }
}

/// An answer with its status as meant: the one told in the body, where there is one.
struct Answer {
    status: StatusCode,
    retry_after: Duration,
    complaint: String,
    reply: Reply,
}

impl Answer {
    async fn read(response: Response) -> Result<Self, Failed> {
        let status = response.status();
        let retry_after = headers::retry_after(response.headers()).unwrap_or_default();
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = if is_redirect(status) { Vec::new() } else { read_body(response, API, LONGEST_ANSWER).await? };
        let complaint = Complaint::find(&body);
        let told = complaint.as_ref().and_then(|complaint| StatusCode::from_u16(complaint.status?).ok());
        let meant = match complaint {
            Some(_) if status.is_success() => told.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY),
            _ => status,
        };
        let words = complaint.map(|complaint| complaint.words).filter(|words| !words.is_empty());
        let complaint = words.map(|words| format!(": {words}")).unwrap_or_default();
        Ok(Self { status: meant, retry_after, complaint, reply: Reply { status, location, body } })
    }

    fn judge(self, dataset: &Dataset) -> Result<Option<Reply>, Failed> {
        let words = self.complaint.as_str();
        match self.status {
            status if status.is_success() || is_redirect(status) => Ok(Some(self.reply)),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED => Err(fault::unauthorized(dataset, words).into()),
            StatusCode::FORBIDDEN => Err(fault::forbidden(dataset, words).into()),
            status => Err(passing_status(API, status, words, self.retry_after)),
        }
    }
}

/// A status that is neither success nor one of the refusals: worth another try, or not understood.
pub(super) fn passing_status(place: &str, status: StatusCode, words: &str, at_least: Duration) -> Failed {
    let error = match status {
        StatusCode::TOO_MANY_REQUESTS => fault::throttled(place),
        StatusCode::REQUEST_TIMEOUT => fault::unavailable_status(place, status, words),
        _ if status.is_server_error() => fault::unavailable_status(place, status, words),
        _ => return Failed::Fatal(fault::answer(place, &format!("answered {}{words}", status.as_u16()))),
    };
    Failed::Passing { error, at_least }
}

/// A fault of sending or receiving.
pub(super) fn network(place: &str, error: reqwest::Error) -> Failed {
    if error.is_builder() {
        return Failed::Fatal(fault::unusable_credentials().caused_by(error.without_url()));
    }
    Failed::passing(fault::network(place, error))
}

/// The redirects after which a GET follows, whatever the method before.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER)
}

/// A whole body of at most `longest` bytes.
pub(super) async fn read_body(mut response: Response, place: &str, longest: usize) -> Result<Vec<u8>, Failed> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| network(place, error))? {
        if body.len() + piece.len() > longest {
            return Err(fault::answer(place, "sent an answer that is far too long").into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn signed(request: RequestBuilder, credentials: &KaggleCredentials) -> RequestBuilder {
    match credentials {
        KaggleCredentials::Anonymous => request,
        KaggleCredentials::Token(token) => request.bearer_auth(token.expose()),
        KaggleCredentials::Legacy { username, key } => request.basic_auth(username, Some(key.expose())),
    }
}

/// The base URL, with a slash at its end so that paths can be joined to it.
fn parse_endpoint(text: &str) -> Result<Url> {
    let mut url = Url::parse(text).map_err(|error| fault::endpoint("cannot be read").caused_by(error))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(fault::endpoint("must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(fault::endpoint("must not hold credentials, `?` or `#`"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(endpoint: &str) -> Result<Api> {
        let credentials = Arc::new(CredentialCache::fixed(KaggleCredentials::Anonymous));
        Api::new(endpoint, credentials, Settings::default())
    }

    #[test]
    fn endpoints_other_than_plain_addresses_are_refused_without_being_shown() {
        for text in
            ["api.kaggle.com", "ftp://host", "https://user:hidden@host", "https://host/?token=hidden", "https://"]
        {
            let error = api(text).err().unwrap();
            assert_eq!(error.code(), "KaggleEndpoint", "{text}");
            assert!(!format!("{error:?}").contains("hidden"));
        }
        assert_eq!(api("http://127.0.0.1:8080/base").unwrap().origin(), "http://127.0.0.1:8080");
    }

    #[test]
    fn redirects_must_not_lose_tls_or_carry_credentials() {
        let (safe, local) = (api("https://api.kaggle.com").unwrap(), api("http://127.0.0.1:8080").unwrap());
        let base = Url::parse("https://api.kaggle.com/v1/").unwrap();
        assert!(safe.redirected(&base, "https://storage.googleapis.com/a?b").is_ok());
        assert!(local.redirected(&base, "http://127.0.0.1:9090/a").is_ok());
        assert_eq!(safe.redirected(&base, "/other").unwrap().as_str(), "https://api.kaggle.com/other");
        for location in ["http://storage.googleapis.com/a", "file:///etc/passwd", "https://u:p@host/", "https://[bad"] {
            assert_eq!(safe.redirected(&base, location).unwrap_err().code(), "KaggleAnswer", "{location}");
        }
    }
}
