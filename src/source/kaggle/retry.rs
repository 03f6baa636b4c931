//! When to try again, and how long to wait before.
//!
//! Every request of this client is a read, so any of them may be repeated. A try that failed says how ([`Failed`]);
//! [`Retries`] keeps the counts of one operation and either waits or gives the error back.

use std::time::Duration;

use tokio::time::sleep;

use super::Settings;
use crate::error::{Error, Result};
use crate::request::Deadline;
use crate::retry::Pauses;

/// How a try failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Trying again is of no use.
    Fatal(Error),
    /// It may pass; the server wants to be left alone at least so long.
    Passing { error: Error, at_least: Duration },
    /// The object store no longer takes the signed link.
    Expired(Error),
    /// All bytes came, and they are wrong.
    Corrupt(Error),
}

impl Failed {
    /// A fault that may pass, with no word from the server about when.
    pub(super) fn passing(error: Error) -> Self {
        Self::Passing { error, at_least: Duration::ZERO }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// The tries of one operation.
pub(super) struct Retries<'a> {
    settings: &'a Settings,
    deadline: Deadline,
    pauses: Pauses,
    passing: u32,
    expired: u32,
    corrupt: u32,
}

impl<'a> Retries<'a> {
    /// Nothing tried yet.
    pub(super) fn new(settings: &'a Settings, deadline: Deadline) -> Self {
        let pauses = Pauses::new(settings.backoff, settings.longest_backoff);
        Self { settings, deadline, pauses, passing: 0, expired: 0, corrupt: 0 }
    }

    /// Returns when the next try may begin; gives the error back when there must be none.
    pub(super) async fn pause(&mut self, failed: Failed) -> Result<()> {
        match failed {
            Failed::Fatal(error) => Err(error),
            Failed::Expired(error) => spend(&mut self.expired, self.settings.renewals, error).map(drop),
            Failed::Corrupt(error) => spend(&mut self.corrupt, self.settings.refetches, error).map(drop),
            Failed::Passing { error, at_least } => {
                let wait = self.pauses.next().max(at_least);
                let error = spend(&mut self.passing, self.settings.attempts.saturating_sub(1), error)?;
                self.wait(wait, error).await
            }
        }
    }

    async fn wait(&self, wait: Duration, error: Error) -> Result<()> {
        if wait > self.settings.longest_wait || !self.deadline.allows(wait) {
            let seconds = wait.as_secs_f32();
            return Err(error.hint(format!("the wait of {seconds:.1} s does not fit into this run: run again later")));
        }
        tracing::debug!(error = %error, wait_ms = wait.as_millis(), "waiting before the next try");
        sleep(wait).await;
        Ok(())
    }
}

/// Counts one more use; the error is the end when all are used up, and is handed on otherwise.
fn spend(used: &mut u32, limit: u32, error: Error) -> Result<Error> {
    if *used >= limit {
        return Err(error);
    }
    *used += 1;
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kaggle::fault;

    fn retries(settings: &Settings) -> Retries<'_> {
        Retries::new(settings, Deadline::NONE)
    }

    #[tokio::test]
    async fn a_wait_beyond_the_deadline_gives_up_at_once_with_the_error() {
        let settings = Settings::default();
        let mut retries = Retries::new(&settings, Deadline::within(Duration::from_secs(5)));
        let failed = Failed::Passing { error: fault::throttled("Kaggle"), at_least: Duration::from_secs(60) };
        let error = retries.pause(failed).await.unwrap_err();
        assert_eq!(error.code(), "KaggleThrottled");
        assert!(error.advice().unwrap().contains("60.0 s"));
    }

    #[tokio::test]
    async fn each_reason_has_its_own_count() {
        let settings = Settings { renewals: 1, refetches: 1, ..Settings::default() };
        let mut retries = retries(&settings);
        let error = || fault::throttled("Kaggle");
        assert!(retries.pause(Failed::Expired(error())).await.is_ok());
        assert!(retries.pause(Failed::Corrupt(error())).await.is_ok());
        assert!(retries.pause(Failed::Expired(error())).await.is_err());
        assert!(retries.pause(Failed::Corrupt(error())).await.is_err());
    }
}
