//! A store whose calls wait at a gate, and runs of which it is known when nothing comes from them any more unless one of their
//! calls is let through.
//!
//! A run is quiet when its future has returned, nothing has woken it since, and a call of its waits at the gate. While it
//! computes on another thread, or pauses between two tries, it is not: a run that sleeps is one whose next call waits long.

use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use async_trait::async_trait;
use cdc_to_s3::lake::store::{ByteRange, Condition, Listed, Object, ObjectStore, Payload, Put};
use cdc_to_s3::{Error, Result};
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::faults::{INJECTED, Operation};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// It fails and has no effect.
    FailBefore,
    /// It takes effect, but its answer is lost.
    FailAfter,
    /// A write takes effect, but is answered with `Refused`, as after a retry inside the transport.
    RefuseAfter,
    /// The run ends here, without the effect.
    CrashBefore,
    /// The run ends here, after the effect.
    CrashAfter,
}

impl Verdict {
    /// What goes wrong with a read.
    pub(crate) const OF_READS: [Self; 2] = [Self::FailBefore, Self::CrashBefore];

    /// What goes wrong with a write.
    pub(crate) const OF_WRITES: [Self; 5] =
        [Self::FailBefore, Self::FailAfter, Self::RefuseAfter, Self::CrashBefore, Self::CrashAfter];
}

/// A call that waits. Calls of one run that wait together are in the order of their keys, whichever came first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) run: usize,
    pub(crate) key: String,
    pub(crate) operation: Operation,
    number: u64,
}

/// Where all runs of a history wait.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    runs: Mutex<Vec<Run>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Run {
    polling: bool,
    woken: bool,
    crashed: bool,
    ended: bool,
    made: u64,
    calls: BTreeMap<Call, Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    verdict: Option<Verdict>,
    waker: Option<Waker>,
}

impl Gate {
    /// The number of a new run, which is to be started as [`Watched`].
    pub(crate) fn enrol(&self) -> usize {
        let mut runs = self.runs.lock().unwrap();
        runs.push(Run { woken: true, ..Run::default() });
        runs.len() - 1
    }

    /// Waits until each run has ended or is quiet.
    pub(crate) async fn quiet(&self) {
        while !self.runs.lock().unwrap().iter().all(Run::is_quiet) {
            self.changed.notified().await;
        }
    }

    /// The calls that wait, in their order.
    pub(crate) fn waiting(&self) -> Vec<Call> {
        self.runs.lock().unwrap().iter().flat_map(|run| run.calls.keys().cloned()).collect()
    }

    pub(crate) fn has_ended(&self, run: usize) -> bool {
        self.with(run, |run| run.ended)
    }

    pub(crate) fn let_through(&self, call: &Call, verdict: Verdict) {
        let waker = self.with(call.run, |run| {
            let waiting = run.calls.get_mut(call).expect("a call that waits");
            waiting.verdict = Some(verdict);
            waiting.waker.take()
        });
        waker.expect("a call that was polled").wake();
    }

    fn with<T>(&self, run: usize, work: impl FnOnce(&mut Run) -> T) -> T {
        work(&mut self.runs.lock().unwrap()[run])
    }
}

impl Run {
    fn is_quiet(&self) -> bool {
        self.ended || !(self.polling || self.woken || self.calls.is_empty())
    }
}

/// The future of a run, which ends with `None` where the run has crashed.
pub(crate) struct Watched<T> {
    gate: Arc<Gate>,
    run: usize,
    future: Option<BoxFuture<'static, T>>,
}

impl<T> Watched<T> {
    pub(crate) fn new(gate: Arc<Gate>, run: usize, future: BoxFuture<'static, T>) -> Self {
        Self { gate, run, future: Some(future) }
    }
}

impl<T> Future for Watched<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let (gate, run) = (Arc::clone(&self.gate), self.run);
        gate.with(run, |run| (run.polling, run.woken) = (true, false));
        let waker = Waker::from(Arc::new(Alarm { gate: Arc::clone(&gate), run, task: context.waker().clone() }));
        let future = self.future.as_mut().expect("a run that has not ended");
        let polled = match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending if gate.with(run, |run| run.crashed) => Poll::Ready(None),
            polled => polled.map(Some),
        };
        if polled.is_ready() {
            self.future = None;
        }
        gate.with(run, |run| (run.polling, run.ended) = (false, polled.is_ready()));
        gate.changed.notify_one();
        polled
    }
}

impl<T> Drop for Watched<T> {
    /// A run that panics has ended, too.
    fn drop(&mut self) {
        self.future = None;
        self.gate.with(self.run, |run| (run.polling, run.ended) = (false, true));
        self.gate.changed.notify_one();
    }
}

struct Alarm {
    gate: Arc<Gate>,
    run: usize,
    task: Waker,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.gate.with(self.run, |run| run.woken = true);
        self.task.wake_by_ref();
    }
}

/// The store of one run.
#[derive(Debug)]
pub(crate) struct Gated {
    gate: Arc<Gate>,
    run: usize,
    inner: Arc<dyn ObjectStore>,
    /// Whether the run has fingerprints. The full load may then be fetched beside a computation that does not wait for it.
    has_fingerprints: AtomicBool,
}

impl Gated {
    pub(crate) fn new(gate: Arc<Gate>, run: usize, inner: Arc<dyn ObjectStore>) -> Self {
        Self { gate, run, inner, has_fingerprints: AtomicBool::new(false) }
    }

    /// Waits for the verdict on a call. Reports hold times that differ from life to life, and nothing depends on them.
    async fn enter(&self, operation: Operation, key: &str, is_beside: bool) -> Result<Verdict> {
        if key.starts_with("_runs/") || is_beside {
            return Ok(Verdict::Pass);
        }
        let verdict = self.wait(operation, key).await;
        match verdict {
            Verdict::CrashBefore => self.crash().await,
            Verdict::FailBefore => Err(injected(operation, key)),
            verdict => Ok(verdict),
        }
    }

    async fn wait(&self, operation: Operation, key: &str) -> Verdict {
        let turn = self.gate.with(self.run, |run| {
            run.made += 1;
            let call = Call { run: self.run, key: key.to_owned(), operation, number: run.made };
            run.calls.insert(call.clone(), Waiting::default());
            Turn(&self.gate, call)
        });
        poll_fn(|context| {
            self.gate.with(self.run, |run| {
                let waiting = run.calls.get_mut(&turn.1).expect("a call that waits");
                waiting.waker = Some(context.waker().clone());
                waiting.verdict.map_or(Poll::Pending, Poll::Ready)
            })
        })
        .await
    }

    async fn leave<T>(&self, verdict: Verdict, operation: Operation, key: &str, answer: T) -> Result<T> {
        match verdict {
            Verdict::CrashAfter => self.crash().await,
            Verdict::FailAfter => Err(injected(operation, key)),
            _ => Ok(answer),
        }
    }

    async fn crash<T>(&self) -> T {
        self.gate.with(self.run, |run| run.crashed = true);
        pending().await
    }
}

/// A call's turn, which it leaves when it has its verdict or is given up.
struct Turn<'a>(&'a Gate, Call);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.with(self.1.run, |run| drop(run.calls.remove(&self.1)));
    }
}

#[async_trait]
impl ObjectStore for Gated {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        let has_fingerprints = self.has_fingerprints.load(Ordering::Relaxed);
        let is_beside = has_fingerprints && range.is_none() && key.starts_with("full-load/");
        let verdict = self.enter(Operation::Get, key, is_beside).await?;
        let answer = self.inner.get(key, range).await?;
        if key.ends_with(".fingerprints") && answer.is_some() {
            self.has_fingerprints.store(true, Ordering::Relaxed);
        }
        self.leave(verdict, Operation::Get, key, answer).await
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        let verdict = self.enter(Operation::Put, key, false).await?;
        let answer = self.inner.put(key, payload, condition).await?;
        let answer = self.leave(verdict, Operation::Put, key, answer).await?;
        Ok(if verdict == Verdict::RefuseAfter { Put::Refused } else { answer })
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        let verdict = self.enter(Operation::List, prefix, false).await?;
        let answer = self.inner.list(prefix, after).await?;
        self.leave(verdict, Operation::List, prefix, answer).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

fn injected(operation: Operation, key: &str) -> Error {
    Error::transient(INJECTED, format!("{operation:?} of {key} was made to fail"))
}
