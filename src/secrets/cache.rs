//! A value that is fetched at the first need and kept, until it is refused.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::Result;

/// A fetched value. Callers that need it at the same time wait for one fetch.
#[derive(Debug)]
pub(super) struct Cached<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Cached<T> {
    /// The value, fetched only the first time. An error is not kept.
    pub(super) async fn get(&self, fetch: impl Future<Output = Result<T>>) -> Result<Arc<T>> {
        let mut current = self.0.lock().await;
        match &*current {
            Some(value) => Ok(Arc::clone(value)),
            None => Ok(Arc::clone(current.insert(Arc::new(fetch.await?)))),
        }
    }

    /// The value anew, after `stale` was refused; what another caller has fetched since then is given as it is.
    pub(super) async fn renew(&self, stale: &Arc<T>, fetch: impl Future<Output = Result<T>>) -> Result<Arc<T>> {
        let mut current = self.0.lock().await;
        match &*current {
            Some(newer) if !Arc::ptr_eq(newer, stale) => Ok(Arc::clone(newer)),
            _ => Ok(Arc::clone(current.insert(Arc::new(fetch.await?)))),
        }
    }
}
