//! What a comparison needs, brought to hand: the new snapshot and, of the base, as little as will do.

use std::pin::pin;

use futures_util::future::{Either, maybe_done, select};

use super::Run;
use super::compare::{Comparison, Job, Stamp, compare, complete};
use super::files::{self, FoundFile, Known};
use super::output::{Destination, UnboundFingerprints};
use crate::error::{Error, Result};
use crate::lake::base::Base;
use crate::lake::fingerprints::{Fingerprints, Found, Origin};
use crate::lake::layout;
use crate::lake::outline::BaseOutline;
use crate::lake::store::{ETag, Stages};
use crate::table::{Provenance, TableSchema, TableSpec};

/// A comparison, and what the next one will want of it.
pub(super) struct Compared {
    pub(super) found: Comparison,
    /// The fingerprints of the new full load, which lack only its tag.
    pub(super) fingerprints: UnboundFingerprints,
    /// The tag of the fingerprints that they replace.
    pub(super) replaced: Option<ETag>,
}

/// Fetches both snapshots and compares them on a blocking thread.
pub(super) async fn compare_with_base(
    run: &Run<'_>,
    spec: &TableSpec,
    outline: &BaseOutline,
    stored: Option<TableSchema>,
    before: &Provenance,
    stamp: &Stamp,
    stages: Stages,
) -> Result<Compared> {
    let position = stamp.position.as_ref().unwrap_or(&run.position);
    let archive = run.snapshot(spec, position).await?;
    let (there, warning) = fingerprints(run, spec, outline, stored.as_ref()).await?;
    let base = run.within_deadline(base(run, spec, outline, there.fingerprints)).await?;
    let workspace = run.workspace.clone();
    if outline.full_load.is_none() || outline.needs_checkpoint() {
        stages.go();
    }
    let destination = Destination { table: spec.name.clone(), run_at: stamp.run_at, workspace, stages };
    let (deadline, progress) = (run.request.deadline, run.progress.rows(spec.name.as_str()));
    let approved = run.request.approve_deletes.covers(&spec.name);
    let empty = outline.newest().is_some_and(|footer| footer.rows == 0);
    let known = Known { spec, stored: stored.as_ref(), before, approved, empty };
    let FoundFile { file, warnings } = files::find(&archive, &known, &run.workspace)?;
    let job = Job {
        spec: spec.clone(),
        file,
        base,
        stored,
        stamp: stamp.clone(),
        before: before.clone(),
        silent_before: outline.has_silent_rows(),
        warnings,
        approve_deletes: approved,
        destination,
        progress,
        deadline,
    };
    let mut early = Box::pin(maybe_done(job.base.early(run.store, &spec.name, outline, &run.workspace)));
    let (mut job, mut passed) = beside(blocking(job, compare), early.as_mut()).await?;
    if matches!(&passed, Err(error) if error.code() == "BadFingerprints") {
        job.base = run.within_deadline(self::base(run, spec, outline, None)).await?;
        (job, passed) = blocking(job, compare).await?;
    }
    let pass = passed?;
    let early = async {
        early.as_mut().await;
        early.as_mut().take_output().flatten()
    };
    let completed = job.base.complete(pass.deleted(), early, run.store, &spec.name, outline, &run.workspace);
    run.within_deadline(completed).await?;
    let (_, completed) = blocking(job, |job| complete(job, pass)).await?;
    let (mut found, fingerprints) = completed?;
    found.warnings.extend(warning);
    Ok(Compared { found, fingerprints, replaced: there.etag })
}

/// The fingerprints of the full load, if they were kept for this key and date field. They only save time: those that cannot be
/// read are a warning, and the full load is read in their place.
async fn fingerprints(
    run: &Run<'_>,
    spec: &TableSpec,
    outline: &BaseOutline,
    stored: Option<&TableSchema>,
) -> Result<(Found, Option<String>)> {
    let (Some(etag), Some(schema)) = (outline.etag(), stored) else { return Ok((Found::default(), None)) };
    let origin = Origin::new(etag.clone(), &spec.pk, schema.order(spec));
    match run.within_deadline(Fingerprints::fetch(run.store, &spec.name, &origin, &run.workspace)).await {
        Ok(found) => Ok((found, None)),
        Err(error) if error.code() == "OutOfTime" => Err(error),
        Err(error) => {
            let key = layout::fingerprints(&spec.name);
            tracing::warn!(table = %spec.name, key, error = %error.chain(), "the fingerprints could not be read");
            let warning =
                format!("`{key}` could not be read ({}), so the full load was read, which takes longer", error.chain());
            Ok((Found::default(), Some(warning)))
        }
    }
}

async fn base(
    run: &Run<'_>,
    spec: &TableSpec,
    outline: &BaseOutline,
    fingerprints: Option<Fingerprints>,
) -> Result<Base> {
    match fingerprints {
        Some(fingerprints) => Base::fetch_with_fingerprints(run.store, outline, fingerprints, &run.workspace).await,
        None => Base::fetch(run.store, &spec.name, outline, &run.workspace).await,
    }
}

/// Does `work` to its end, and beside it as much of `aside` as there is time for.
async fn beside<T>(work: impl Future<Output = T>, aside: impl Future<Output = ()> + Unpin) -> T {
    match select(pin!(work), aside).await {
        Either::Left((done, _)) => done,
        Either::Right(((), work)) => work.await,
    }
}

/// Does `work` on a blocking thread, and gives the job back.
async fn blocking<T: Send + 'static>(job: Job, work: impl FnOnce(&Job) -> T + Send + 'static) -> Result<(Job, T)> {
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&job);
        (job, result)
    });
    done.await.map_err(|error| {
        Error::internal("Panic", "the comparison ended in a panic; nothing was published").caused_by(error)
    })
}
