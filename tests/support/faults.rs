//! A store that fails on purpose, around one that does not.
//!
//! Two ways to say when: a script, first in first out for each operation ([`FaultyStore::script`]), or a crash at the
//! n-th call of all, after which nothing works any more ([`FaultyStore::crash`]), for crash matrices.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cdc_to_s3::lake::store::{ByteRange, Condition, Leftover, Listed, Object, ObjectStore, Payload, Put, Stager};
use cdc_to_s3::{Error, Result};
use tokio::sync::Semaphore;

/// The code of every error made here; its kind is `Transient`.
pub(crate) const INJECTED: &str = "Injected";

/// The operations of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    Get,
    Put,
    List,
}

/// What happens to one call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    Pass,
    /// It fails and has no effect.
    FailBefore,
    /// It takes effect, but its answer is lost.
    FailAfter,
    /// A write takes effect, but is answered with `Refused`, as after a retry inside the transport.
    RefuseAfter,
    /// It waits at the gate, and then goes on as if nothing had been.
    Hold(Gate),
}

/// When, in the call at which it crashes, a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    /// The key, or the prefix of a listing.
    pub(crate) key: String,
}

/// Where a call is held until it is let go.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<[Semaphore; 2]>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new([Semaphore::new(0), Semaphore::new(0)]))
    }

    /// Waits until a call has come to the gate.
    pub(crate) async fn reached(&self) {
        self.0[0].acquire().await.expect("an open gate").forget();
    }

    /// Lets one call go.
    pub(crate) fn release(&self) {
        self.0[1].add_permits(1);
    }

    async fn pass(&self) {
        self.0[0].add_permits(1);
        self.0[1].acquire().await.expect("an open gate").forget();
    }
}

/// The store around `inner`.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    script: HashMap<Operation, VecDeque<Fault>>,
    crash: Option<(usize, Moment)>,
    crash_at_write: Option<(usize, Moment)>,
}

impl FaultyStore {
    /// A store that passes everything on until it is told otherwise.
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// What happens to the next calls of `operation`; those after them pass.
    pub(crate) fn script(&self, operation: Operation, faults: impl IntoIterator<Item = Fault>) {
        self.with(|state| state.script.entry(operation).or_default().extend(faults));
    }

    /// From call number `at` (from 0, over all operations) every call fails; that one may take effect before.
    pub(crate) fn crash(&self, at: usize, moment: Moment) {
        self.with(|state| state.crash = Some((at, moment)));
    }

    /// As [`Self::crash`], at write number `at`.
    pub(crate) fn crash_at_write(&self, at: usize, moment: Moment) {
        self.with(|state| state.crash_at_write = Some((at, moment)));
    }

    /// All calls so far, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.with(|state| state.calls.clone())
    }

    /// How many calls of `operation` there were.
    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.with(|state| state.calls.iter().filter(|call| call.operation == operation).count())
    }

    /// Notes a call, and lets it in or fails it.
    async fn enter(&self, operation: Operation, key: &str) -> Result<Fault> {
        let fault = self.with(|state| state.next(operation, key));
        match fault {
            Fault::FailBefore => Err(injected(operation, key)),
            Fault::Hold(gate) => {
                gate.pass().await;
                Ok(Fault::Pass)
            }
            fault => Ok(fault),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn next(&mut self, operation: Operation, key: &str) -> Fault {
        let number = self.calls.len();
        if let (Operation::Put, Some((at, moment))) = (operation, self.crash_at_write)
            && at == self.calls.iter().filter(|call| call.operation == Operation::Put).count()
        {
            self.crash = Some((number, moment));
        }
        self.calls.push(Call { operation, key: key.to_owned() });
        match self.crash {
            Some((at, Moment::After)) if number == at => Fault::FailAfter,
            Some((at, _)) if number >= at => Fault::FailBefore,
            _ => self.script.get_mut(&operation).and_then(VecDeque::pop_front).unwrap_or(Fault::Pass),
        }
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        let fault = self.enter(Operation::Get, key).await?;
        let answer = self.inner.get(key, range).await?;
        leave(&fault, Operation::Get, key, answer)
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        let fault = self.enter(Operation::Put, key).await?;
        let answer = self.inner.put(key, payload, condition).await?;
        let answer = leave(&fault, Operation::Put, key, answer)?;
        Ok(if matches!(fault, Fault::RefuseAfter) { Put::Refused } else { answer })
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        let fault = self.enter(Operation::List, prefix).await?;
        let answer = self.inner.list(prefix, after).await?;
        leave(&fault, Operation::List, prefix, answer)
    }

    /// What is done ahead of a `put` has no effect, and comes as it may; the `put` that ends it is counted and fails as any.
    fn stager(&self) -> Option<Stager> {
        self.inner.stager()
    }

    fn takes_in_parts(&self, len: u64) -> bool {
        self.inner.takes_in_parts(len)
    }

    async fn written_at(&self, key: &str) -> Result<Option<i64>> {
        self.inner.written_at(key).await
    }

    async fn leftovers(&self) -> Result<Vec<Leftover>> {
        self.inner.leftovers().await
    }

    async fn abort(&self, leftover: &Leftover) -> Result<()> {
        self.inner.abort(leftover).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

fn leave<T>(fault: &Fault, operation: Operation, key: &str, answer: T) -> Result<T> {
    if matches!(fault, Fault::FailAfter) { Err(injected(operation, key)) } else { Ok(answer) }
}

fn injected(operation: Operation, key: &str) -> Error {
    Error::transient(INJECTED, format!("{operation:?} of {key} was made to fail"))
}

#[tokio::test]
async fn a_script_fails_calls_before_and_after_their_effect() {
    use cdc_to_s3::lake::store::{MemoryStore, read_all};
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    store.script(Operation::Put, [Fault::FailBefore, Fault::FailAfter, Fault::RefuseAfter]);
    for (key, there) in [("before", false), ("after", true)] {
        let outcome = store.put(key, &Payload::Memory("x".into()), &Condition::Absent).await;
        assert_eq!(outcome.unwrap_err().code(), INJECTED);
        assert_eq!(read_all(&store, key, 10).await.unwrap().is_some(), there, "{key}");
    }
    let outcome = store.put("refused", &Payload::Memory("x".into()), &Condition::Absent).await;
    assert_eq!(outcome.unwrap(), Put::Refused);
    assert!(read_all(&store, "refused", 10).await.unwrap().is_some());
    assert_eq!((store.count(Operation::Put), store.count(Operation::Get)), (3, 3));
    assert_eq!(store.calls()[0], Call { operation: Operation::Put, key: "before".to_owned() });
}

#[tokio::test]
async fn after_a_crash_nothing_works_any_more() {
    use cdc_to_s3::lake::store::MemoryStore;
    for (moment, written) in [(Moment::Before, 1), (Moment::After, 2)] {
        let inner = Arc::new(MemoryStore::new());
        let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
        store.crash(1, moment);
        for (key, works) in [("a", true), ("b", false), ("c", false)] {
            let outcome = store.put(key, &Payload::Memory("x".into()), &Condition::Absent).await;
            assert_eq!(outcome.is_ok(), works, "{key} {moment:?}");
        }
        assert_eq!(inner.list("", None).await.unwrap().len(), written, "{moment:?}");
    }
}

#[tokio::test]
async fn a_held_call_waits_at_the_gate() {
    use cdc_to_s3::lake::store::MemoryStore;
    let inner = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>));
    let gate = Gate::new();
    store.script(Operation::Put, [Fault::Hold(gate.clone()), Fault::Pass]);
    let held = Arc::clone(&store);
    let task = tokio::spawn(async move { held.put("a", &Payload::Memory("x".into()), &Condition::Absent).await });
    gate.reached().await;
    assert!(inner.list("", None).await.unwrap().is_empty());
    gate.release();
    assert!(matches!(task.await.unwrap().unwrap(), Put::Written(_)));
}
