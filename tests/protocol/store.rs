//! A store whose calls wait until they are granted, so that a scheduler decides on every step of every runner.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use cdc_to_s3::lake::store::{
    ByteRange, Condition, ETag, Listed, MemoryStore, Object, ObjectStore, Payload, Put, read_all,
};
use cdc_to_s3::{Error, Result};
use futures_util::FutureExt;

/// What a runner asks for.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Get(String),
    Put(String, Bytes, Condition),
    List(String, Option<String>),
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Object(Option<(ETag, Bytes)>),
    Written(ETag),
    Refused,
    Listed(Vec<(String, u64)>),
    /// The call took effect or did not; nobody knows.
    Lost,
}

/// The objects, with their tags.
pub(super) type Objects = BTreeMap<String, (ETag, Bytes)>;

/// The way from a runner to the scheduler and back. Calls that are under way together are granted one after the other, in the
/// order in which they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct Port(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    calls: VecDeque<(u64, Call)>,
    made: u64,
    answer: Option<Answer>,
    waiting: Vec<Waker>,
}

/// A call's place in the line, which it leaves when it has its answer or is given up.
struct Turn<'a>(&'a Port, u64);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = self.0.0.lock().unwrap();
        line.calls.retain(|(number, _)| *number != self.1);
        line.waiting.drain(..).for_each(Waker::wake);
    }
}

impl Port {
    /// The call that the runner waits for.
    pub(super) fn asked(&self) -> Option<Call> {
        self.0.lock().unwrap().calls.front().map(|(_, call)| call.clone())
    }

    pub(super) fn answer(&self, answer: Answer) {
        let mut line = self.0.lock().unwrap();
        line.answer = Some(answer);
        line.waiting.drain(..).for_each(Waker::wake);
    }

    async fn call(&self, call: Call) -> Result<Answer> {
        let turn = {
            let mut line = self.0.lock().unwrap();
            line.made += 1;
            let number = line.made;
            line.calls.push_back((number, call));
            Turn(self, number)
        };
        let answer = poll_fn(|context| {
            let mut line = self.0.lock().unwrap();
            let is_next = line.calls.front().is_some_and(|(number, _)| *number == turn.1);
            match line.answer.take_if(|_| is_next) {
                Some(answer) => Poll::Ready(answer),
                None => {
                    line.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        });
        match answer.await {
            Answer::Lost => Err(Error::transient("Lost", "the answer was lost")),
            answer => Ok(answer),
        }
    }
}

#[async_trait]
impl ObjectStore for Port {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        let Answer::Object(found) = self.call(Call::Get(key.to_owned())).await? else {
            unreachable!("an answer to a get")
        };
        let Some((_, bytes)) = found else { return Ok(None) };
        let one = MemoryStore::new();
        let _ = one.put(key, &Payload::Memory(bytes), &Condition::Absent).await?;
        one.get(key, range).await
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        let Payload::Memory(bytes) = payload else { unreachable!("a payload in memory") };
        match self.call(Call::Put(key.to_owned(), bytes.clone(), condition.clone())).await? {
            Answer::Written(tag) => Ok(Put::Written(tag)),
            _ => Ok(Put::Refused),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        let call = Call::List(prefix.to_owned(), after.map(str::to_owned));
        let Answer::Listed(listed) = self.call(call).await? else { unreachable!("an answer to a list") };
        Ok(listed.into_iter().map(|(key, len)| Listed { key, len }).collect())
    }

    fn location(&self) -> String {
        "the model".to_owned()
    }
}

/// Does what a call asks for.
pub(super) fn perform(objects: &mut Objects, call: &Call) -> Answer {
    match call {
        Call::Get(key) => Answer::Object(objects.get(key).cloned()),
        Call::List(prefix, after) => {
            let wanted = |key: &&String| key.starts_with(prefix) && after.as_ref().is_none_or(|after| *key > after);
            Answer::Listed(
                objects.keys().filter(wanted).map(|key| (key.clone(), objects[key].1.len() as u64)).collect(),
            )
        }
        Call::Put(key, bytes, condition) => {
            let there = objects.get(key).map(|(tag, _)| tag);
            let holds = match condition {
                Condition::Absent => there.is_none(),
                Condition::Matches(tag) => there == Some(tag),
            };
            if !holds {
                return Answer::Refused;
            }
            let tag = tag_of(bytes);
            objects.insert(key.clone(), (tag.clone(), bytes.clone()));
            Answer::Written(tag)
        }
    }
}

/// The tag that the reference store gives to a content.
fn tag_of(bytes: &Bytes) -> ETag {
    let store = MemoryStore::new();
    let put = store.put("x", &Payload::Memory(bytes.clone()), &Condition::Absent).now_or_never();
    assert!(put.is_some_and(|put| put.is_ok()));
    read_all(&store, "x", u64::MAX).now_or_never().unwrap().unwrap().unwrap().1
}
