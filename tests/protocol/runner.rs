//! A runner of the model: the steps of a run over the real commit code, with version numbers for data.
//!
//! A snapshot is its version number; a CDC object says in its footer from which to which version it leads.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use cdc_to_s3::Result;
use cdc_to_s3::lake::cdc_schema;
use cdc_to_s3::lake::commit::{Entry, Runner, StateVersion, Step, TableLog};
use cdc_to_s3::lake::footer::{FileKind, Footer};
use cdc_to_s3::lake::layout::RunTime;
use cdc_to_s3::lake::outline::BaseOutline;
use cdc_to_s3::lake::parquet::empty_file;
use cdc_to_s3::lake::state::Head;
use cdc_to_s3::position::Position;
use cdc_to_s3::table::{Provenance, TableName, TableSchema};

use super::store::{Answer, Call, Port};
use crate::support::lake;

/// An event, and what its run sees of the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    /// Equal for twins.
    pub(super) minute: i64,
    pub(super) version: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The table is at this version, or was.
    Done(u64),
    /// Others are at work; nothing of ours is in the way.
    GaveWay,
    Failed(&'static str),
}

/// Where a runner stands: what it asks for next, or how it ended.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    Asks(Call),
    Ended(Outcome),
}

/// All that one runner can come to, by the answers that it got. A runner is a function of these, so that the future has
/// to be run only once for each list of answers.
pub(super) struct Unfolding {
    event: Event,
    nodes: Vec<(Vec<Answer>, Standing)>,
    children: HashMap<(usize, Answer), usize>,
}

impl Unfolding {
    pub(super) fn new(event: Event) -> Self {
        let nodes = vec![(Vec::new(), replay(event, &[]))];
        Self { event, nodes, children: HashMap::new() }
    }

    pub(super) fn standing(&self, node: usize) -> &Standing {
        &self.nodes[node].1
    }

    /// Where the runner stands after one more answer.
    pub(super) fn step(&mut self, node: usize, answer: Answer) -> usize {
        if let Some(&child) = self.children.get(&(node, answer.clone())) {
            return child;
        }
        let answers: Vec<Answer> = self.nodes[node].0.iter().cloned().chain([answer.clone()]).collect();
        let standing = replay(self.event, &answers);
        self.nodes.push((answers, standing));
        self.children.insert((node, answer), self.nodes.len() - 1);
        self.nodes.len() - 1
    }
}

fn replay(event: Event, answers: &[Answer]) -> Standing {
    let port = Port::default();
    let mut future: Pin<Box<dyn Future<Output = Outcome>>> = Box::pin(run(event, port.clone()));
    let mut context = Context::from_waker(Waker::noop());
    let mut answers = answers.iter();
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => return Standing::Ended(outcome),
            Poll::Pending => match answers.next() {
                Some(answer) => port.answer(answer.clone()),
                None => return Standing::Asks(port.asked().expect("a runner waits for nothing but the store")),
            },
        }
    }
}

async fn run(event: Event, port: Port) -> Outcome {
    let table = TableName::parse("t").unwrap();
    let runner = Runner {
        owner: format!("event:{}", event.minute),
        run_at: RunTime::new(lake::at(event.minute)),
        // Every foreign claim counts as expired: a runner that finds one busy is a runner that is never scheduled again.
        now: lake::at(1_000_000),
        expires: lake::at(0),
    };
    let log = TableLog::new(&port, &table, &runner).without_pauses();
    attempts(&log, &port, &table, event).await.unwrap_or_else(|error| Outcome::Failed(error.code()))
}

async fn attempts(log: &TableLog<'_>, port: &Port, table: &TableName, event: Event) -> Result<Outcome> {
    for _ in 0..3 {
        let state = log.read_state().await?;
        if let Some(outcome) = enter(log, &state, port, table, event).await? {
            return Ok(outcome);
        }
    }
    Ok(Outcome::GaveWay)
}

/// The steps of `pipeline::table`, in its order; `None` when the race for the state was lost.
async fn enter(
    log: &TableLog<'_>,
    state: &StateVersion,
    port: &Port,
    table: &TableName,
    event: Event,
) -> Result<Option<Outcome>> {
    let at = state.state.head.as_ref().and_then(|head| head.position.as_ref());
    if state.state.pending.is_none() && at == Some(&Position::Version(event.version)) {
        return Ok(Some(Outcome::Done(event.version)));
    }
    let (claim, fenced) = match log.enter(state).await? {
        Entry::Busy(_) => return Ok(Some(Outcome::GaveWay)),
        Entry::Resume(claim) => (Some(claim), None),
        Entry::Fenced(object) => (None, Some(*object)),
        Entry::Free => (None, None),
    };
    let outline = fenced.into_iter().fold(BaseOutline::read(port, table).await?, BaseOutline::with);
    if claim.as_ref().is_some_and(|claim| !log.still_ours(claim, &outline)) {
        return Ok(Some(Outcome::GaveWay));
    }
    let run_at = claim.as_ref().map_or_else(|| log.place(state, &outline), |claim| claim.run_at);
    let position = claim.as_ref().map_or(Some(Position::Version(event.version)), |claim| claim.position.clone());
    let (from, to) = (number(outline.position()), number(position.as_ref()));
    let footer = |kind| footer(kind, event, run_at, (from, to));
    let writes = from != to || outline.needs_checkpoint() || outline.full_load.is_none();
    let mut held = state.clone();
    let mut etag = outline.etag().cloned();
    if writes && claim.is_none() {
        match log.claim(state, run_at, position.clone()).await? {
            Step::Done(claimed) => held = claimed,
            Step::Overtaken => return Ok(None),
        }
    }
    if from != to {
        let cdc = footer(FileKind::Cdc);
        if log.publish(&empty_file(cdc_schema(&cdc.schema), &cdc)?, &cdc).await? == Step::Overtaken {
            return Ok(Some(Outcome::GaveWay));
        }
    }
    if writes {
        let full = footer(FileKind::FullLoad);
        let payload = empty_file(cdc_schema(&full.schema), &full)?;
        if let Step::Done(written) = log.checkpoint(&payload, &full, outline.etag()).await? {
            etag = Some(written);
        }
    }
    let previous = outline.newest().map(|footer| footer.run_at);
    let head = Head {
        run_at: if writes { run_at } else { previous.unwrap_or(run_at) },
        position,
        full_load_etag: etag,
        rows: to,
        row_set_hash: to.to_string(),
        schema: TableSchema::default(),
        captured: None,
        provenance: Provenance::default(),
        settings: None,
    };
    match log.commit(&held, head).await? {
        Step::Overtaken if !writes => Ok(None),
        _ => Ok(Some(Outcome::Done(to))),
    }
}

fn number(position: Option<&Position>) -> u64 {
    match position {
        Some(Position::Version(number)) => *number,
        _ => 0,
    }
}

fn footer(kind: FileKind, event: Event, run_at: RunTime, (from, to): (u64, u64)) -> Footer {
    Footer {
        position: Some(Position::Version(to)),
        rows: to,
        inserted: to,
        deleted: from,
        row_set_hash: to.to_string(),
        ..Footer::new(kind, "t", run_at, format!("event:{}", event.minute))
    }
}
