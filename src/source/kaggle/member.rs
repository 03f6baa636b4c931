//! One table of an archive: the end of the archive, its directory, the table's members, and nothing else.

use super::api::Api;
use super::ranges::{Fetched, Remote, Tail};
use super::{Progress, Wanted};
use crate::error::{Error, Result};
use crate::request::Deadline;
use crate::source::archive::Archive;
use crate::source::archive::parts::{Next, Parts};
use crate::table::FileChoice;

/// More parts than this, and the whole archive is the better way: its directory has more than a million members, or the
/// table's are many and lie apart.
const MOST_PARTS: usize = 64;

/// How one attempt ended.
enum Ended {
    Ready(Archive),
    /// The bytes that were fetched are of no use: the object was replaced, or they came damaged.
    Again,
    /// Parts will not do.
    Whole,
}

/// The archive of that table alone; `None` where the whole archive has to be fetched. What was damaged or replaced is
/// fetched again, as often as a damaged whole archive would be.
pub(super) async fn fetch(
    api: &Api,
    wanted: &Wanted<'_>,
    deadline: Deadline,
    progress: Progress<'_>,
) -> Result<Option<Archive>> {
    let (dataset, version) = (wanted.dataset, wanted.version);
    for _ in 0..=api.settings().refetches {
        let Some((mut remote, tail)) = Remote::open(api, dataset, version, deadline).await? else { break };
        match attempt(&mut remote, tail, wanted, progress).await? {
            Ended::Ready(archive) => return Ok(Some(archive)),
            Ended::Again => {
                tracing::warn!(%dataset, version, "the archive was replaced or came damaged: reading it again");
            }
            Ended::Whole => break,
        }
    }
    tracing::info!(%dataset, version, table = %wanted.choice.name, "fetching the whole archive");
    Ok(None)
}

async fn attempt(remote: &mut Remote<'_>, tail: Tail, wanted: &Wanted<'_>, progress: Progress<'_>) -> Result<Ended> {
    let (dataset, version) = (wanted.dataset, wanted.version);
    let name = format!("{}_{}_v{version}.parts.zip", dataset.owner(), dataset.slug());
    let mut parts = Parts::create(wanted.into.join(name), remote.len())?;
    parts.write(tail.first, &tail.bytes)?;
    for _ in 0..MOST_PARTS {
        let range = match parts.next(wanted.choice, wanted.limits) {
            Next::Fetch(range) => range,
            Next::Whole => return Ok(Ended::Whole),
            Next::Ready(archive) => return intact(archive, wanted).await,
        };
        match remote.fetch(range, &mut parts, progress).await? {
            Fetched::Done => {}
            Fetched::Replaced => return Ok(Ended::Again),
            Fetched::Unranged => return Ok(Ended::Whole),
        }
    }
    Ok(Ended::Whole)
}

/// The store's hashes are of the whole archive, so it is each member's own checksum that tells whether its bytes are right.
async fn intact(archive: Archive, wanted: &Wanted<'_>) -> Result<Ended> {
    let (table, file) = (wanted.choice.name.clone(), wanted.choice.file.map(str::to_owned));
    let reader = archive.clone();
    let intact = move || reader.is_intact(FileChoice { name: &table, file: file.as_deref() });
    let intact = tokio::task::spawn_blocking(intact).await.map_err(ended_in_panic)?;
    Ok(if intact { Ended::Ready(archive) } else { Ended::Again })
}

fn ended_in_panic(error: tokio::task::JoinError) -> Error {
    Error::internal("Panic", "checking the snapshot ended in a panic").caused_by(error)
}
