//! The protocol, explored: the real commit code of several runners, interleaved in every order at every call to the store.
//!
//! A runner that crashed is one that is never scheduled again, and one that sleeps is scheduled late, so that both are
//! among the orders; so is every opinion on whether a claim has expired. A write may take effect while its answer is lost.
//! `CDC_MODEL_STATES=n` sets how many states of four runners are visited; those of three are visited all. What holds in every state is what a reader of the folder relies on.

mod runner;
mod store;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use cdc_to_s3::lake::footer::{FileKind, Footer};
use cdc_to_s3::lake::layout;
use cdc_to_s3::lake::parquet::ParquetFile;
use cdc_to_s3::lake::store::{Condition, ETag, Payload};
use cdc_to_s3::table::TableName;

use self::runner::{Event, Outcome, Standing, Unfolding};
use self::store::{Answer, Call, Objects, perform};
use crate::simulator::number;
use crate::support::random::Random;

/// An event, the same delivered again when the source has moved on, and two later ones.
const FIRST: Event = Event { minute: 1, version: 1 };
const TWIN: Event = Event { minute: 1, version: 2 };
const SECOND: Event = Event { minute: 2, version: 2 };
const THIRD: Event = Event { minute: 3, version: 3 };

/// A step of the protocol that is left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropped {
    Nothing,
    Claim,
    Occupy,
    CreateOnly,
    IfMatch,
    CompareAndSwap,
}

/// A point in the life of a lake and its runners.
#[derive(Clone)]
struct State {
    objects: Objects,
    /// Where each runner stands in its unfolding.
    runners: Vec<usize>,
    /// How many more answers may get lost.
    losses: u32,
    trace: Option<Arc<Trace>>,
}

/// The steps that led to a state, the last one first.
struct Trace {
    runner: usize,
    call: Call,
    answer: Answer,
    before: Option<Arc<Trace>>,
}

struct Explorer {
    runners: Vec<Unfolding>,
    dropped: Dropped,
    footers: HashMap<ETag, Footer>,
    seen: HashSet<u64>,
    limit: usize,
    /// Picks the next state to go on from, where not all of them will be visited; else the newest is next.
    random: Option<Random>,
}

/// What an exploration came to.
#[derive(Debug)]
struct Explored {
    states: usize,
    violation: Option<String>,
}

#[test]
fn no_order_of_an_event_its_twin_and_a_later_one_breaks_the_promise() {
    let explored = Explorer::explore(&[FIRST, TWIN, SECOND], 0, Dropped::Nothing, usize::MAX);
    eprintln!("three runners: {} states", explored.states);
    assert_eq!(explored.violation, None);
    assert!(explored.states > 10_000, "only {} states", explored.states);
}

#[test]
fn no_order_of_two_events_breaks_the_promise_when_answers_get_lost() {
    for events in [[FIRST, TWIN], [FIRST, SECOND]] {
        let explored = Explorer::explore(&events, 2, Dropped::Nothing, usize::MAX);
        eprintln!("two runners, two lost answers: {} states", explored.states);
        assert_eq!(explored.violation, None);
        assert!(explored.states > 1000, "only {} states", explored.states);
    }
}

#[test]
fn no_order_among_many_of_four_runners_breaks_the_promise() {
    let limit = number("CDC_MODEL_STATES").unwrap_or(200_000);
    let mut explorer = Explorer::new(&[FIRST, TWIN, SECOND, THIRD], Dropped::Nothing, limit as usize);
    explorer.random = Some(Random::new(limit));
    let violation = explorer.run(State::start(4, 1), 4, &mut |_, _| Ok(()));
    eprintln!("four runners, one lost answer: {} states", explorer.seen.len());
    assert_eq!(violation, None);
}

#[test]
fn without_any_one_of_its_steps_the_protocol_breaks() {
    for dropped in [Dropped::Claim, Dropped::Occupy, Dropped::CreateOnly, Dropped::IfMatch, Dropped::CompareAndSwap] {
        let explored = Explorer::explore(&[FIRST, TWIN, SECOND, THIRD], 0, dropped, 1_000_000);
        eprintln!("without {dropped:?}: {:?}", explored.violation);
        assert!(explored.violation.is_some(), "{dropped:?} is not needed in {} states", explored.states);
    }
}

#[test]
fn wherever_the_others_stopped_one_runner_that_goes_on_commits_the_table() {
    let mut explorer = Explorer::new(&[FIRST, TWIN, SECOND, THIRD], Dropped::Nothing, 20_000);
    let mut alone = 0;
    let (others, survivor) = (3, 3);
    let violation = explorer.run(State::start(4, 0), others, &mut |explorer, state| {
        alone += 1;
        explorer.finish_alone(state.clone(), survivor, THIRD.version)
    });
    assert_eq!(violation, None);
    assert!(alone > 1000, "only {alone} states");
}

impl State {
    fn start(runners: usize, losses: u32) -> Self {
        Self { objects: Objects::new(), runners: vec![0; runners], losses, trace: None }
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (key, (tag, _)) in &self.objects {
            (key, tag).hash(&mut hasher);
        }
        (&self.runners, self.losses).hash(&mut hasher);
        hasher.finish()
    }

    fn story(&self) -> String {
        let mut steps = Vec::new();
        let mut trace = self.trace.as_ref();
        while let Some(step) = trace {
            steps.push(format!("runner {}: {} -> {}", step.runner, name(&step.call), outcome(&step.answer)));
            trace = step.before.as_ref();
        }
        steps.reverse();
        steps.join("\n  ")
    }
}

type Visit<'a> = &'a mut dyn FnMut(&mut Explorer, &State) -> Result<(), String>;

impl Explorer {
    fn explore(events: &[Event], losses: u32, dropped: Dropped, limit: usize) -> Explored {
        let mut explorer = Self::new(events, dropped, limit);
        let violation = explorer.run(State::start(events.len(), losses), events.len(), &mut |_, _| Ok(()));
        Explored { states: explorer.seen.len(), violation }
    }

    fn new(events: &[Event], dropped: Dropped, limit: usize) -> Self {
        let runners = events.iter().map(|&event| Unfolding::new(event)).collect();
        Self { runners, dropped, footers: HashMap::new(), seen: HashSet::new(), limit, random: None }
    }

    /// Visits every state that the first `scheduled` runners can reach, up to the limit, and says what is wrong with the
    /// first that is wrong.
    fn run(&mut self, start: State, scheduled: usize, visit: Visit<'_>) -> Option<String> {
        let mut open = vec![start];
        while !open.is_empty() {
            let next = self.random.as_mut().map_or(open.len() - 1, |random| random.below(open.len()));
            let state = open.swap_remove(next);
            if self.seen.len() >= self.limit || !self.seen.insert(state.fingerprint()) {
                continue;
            }
            if let Err(violation) = visit(self, &state) {
                return Some(violation);
            }
            for runner in 0..scheduled {
                for lost in [false, true] {
                    match self.step(&state, runner, lost) {
                        Ok(next) => open.extend(next),
                        Err(violation) => return Some(violation),
                    }
                }
            }
        }
        None
    }

    /// Lets one runner make its next call, or tells what is wrong afterwards.
    fn step(&mut self, state: &State, runner: usize, lost: bool) -> Result<Option<State>, String> {
        let Standing::Asks(call) = self.runners[runner].standing(state.runners[runner]).clone() else {
            return Ok(None);
        };
        let is_write = matches!(call, Call::Put(..));
        if lost && (!is_write || state.losses == 0) {
            return Ok(None);
        }
        let mut next = state.clone();
        let answer = self.perform(&mut next.objects, &call);
        next.losses -= u32::from(lost);
        let answer = if lost { Answer::Lost } else { answer };
        next.runners[runner] = self.runners[runner].step(state.runners[runner], answer.clone());
        next.trace = Some(Arc::new(Trace { runner, call, answer, before: state.trace.clone() }));
        let kept = if is_write { self.check(state, &next) } else { Ok(()) };
        let checked = kept.and_then(|()| self.check_end(&next, runner));
        checked.map_err(|wrong| format!("{wrong}\n  {}", next.story()))?;
        Ok(Some(next))
    }

    /// Does what the call asks for, less the step that is left out.
    fn perform(&mut self, objects: &mut Objects, call: &Call) -> Answer {
        let Call::Put(key, bytes, _) = call else { return perform(objects, call) };
        let (in_log, is_state) = (key.starts_with("cdc/"), key.starts_with("_state/"));
        let ignored = match self.dropped {
            Dropped::Nothing => false,
            Dropped::Claim if is_state && has_claim(bytes) => return Answer::Written(ETag("claimed".to_owned())),
            Dropped::Occupy if in_log && parse(bytes).kind == FileKind::Tombstone => {
                return Answer::Written(ETag("occupied".to_owned()));
            }
            Dropped::Claim | Dropped::Occupy => false,
            Dropped::CreateOnly => in_log,
            Dropped::IfMatch => key.starts_with("full-load/"),
            Dropped::CompareAndSwap => is_state,
        };
        let there = objects.get(key).map(|(tag, _)| Condition::Matches(tag.clone()));
        match call {
            Call::Put(key, bytes, _) if ignored => {
                perform(objects, &Call::Put(key.clone(), bytes.clone(), there.unwrap_or(Condition::Absent)))
            }
            call => perform(objects, call),
        }
    }

    /// What a reader of the folder relies on, whenever it looks.
    fn check(&mut self, before: &State, after: &State) -> Result<(), String> {
        let (old, new) = (self.log(&before.objects), self.log(&after.objects));
        if old.iter().any(|(key, footer)| new.iter().all(|(other, now)| (other, now) != (key, footer))) {
            return Err("an object of the log was replaced".to_owned());
        }
        let late =
            |key: &String| old.iter().all(|(other, _)| other != key) && old.last().is_some_and(|(last, _)| key < last);
        if new.iter().any(|(key, _)| late(key)) {
            return Err("a new object sorts before one that was there".to_owned());
        }
        let mut version = 0;
        for (key, footer) in &new {
            if footer.deleted != version {
                return Err(format!("{key} leads from version {} and not from {version}", footer.deleted));
            }
            version = footer.rows;
        }
        let (was, is) = (self.full_load(&before.objects), self.full_load(&after.objects));
        let Some(full) = is else { return Ok(()) };
        if was.is_some_and(|was| was.run_at > full.run_at) {
            return Err("the full load went back".to_owned());
        }
        let replayed =
            new.iter().rev().find(|(_, footer)| footer.run_at <= full.run_at).map_or(0, |(_, footer)| footer.rows);
        if replayed == full.rows { Ok(()) } else { Err("the full load is not what the log says".to_owned()) }
    }

    /// A runner may say that it is done only when its version is in the log, and may not fail.
    fn check_end(&mut self, state: &State, runner: usize) -> Result<(), String> {
        match self.runners[runner].standing(state.runners[runner]).clone() {
            Standing::Ended(Outcome::Done(version)) => {
                let published = self.log(&state.objects).iter().any(|(_, footer)| footer.rows == version);
                if published { Ok(()) } else { Err(format!("runner {runner} is done without version {version}")) }
            }
            Standing::Ended(Outcome::Failed(code)) => Err(format!("runner {runner} failed: {code}")),
            _ => Ok(()),
        }
    }

    /// Lets only one runner go on, until the table is at its version.
    fn finish_alone(&mut self, mut state: State, runner: usize, version: u64) -> Result<(), String> {
        while let Some(next) = self.step(&state, runner, false)? {
            state = next;
        }
        let standing = self.runners[runner].standing(state.runners[runner]).clone();
        let full = self.full_load(&state.objects).map(|footer| footer.rows);
        let state_object = &state.objects[&layout::state(&TableName::parse("t").unwrap())].1;
        let done = matches!(standing, Standing::Ended(Outcome::Done(at)) if at == version);
        if done && full == Some(version) && !has_claim(state_object) {
            return Ok(());
        }
        Err(format!("alone, it ends as {standing:?} with full load {full:?}\n  {}", state.story()))
    }

    /// The objects of the log that hold changes, in the order of their names.
    fn log(&mut self, objects: &Objects) -> Vec<(String, Footer)> {
        let log = objects.range("cdc/".to_owned().."cdc0".to_owned());
        let footers: Vec<_> = log.map(|(key, (tag, bytes))| (key.clone(), self.footer(tag, bytes))).collect();
        footers.into_iter().filter(|(_, footer)| footer.kind == FileKind::Cdc).collect()
    }

    fn full_load(&mut self, objects: &Objects) -> Option<Footer> {
        let (tag, bytes) = objects.get(&layout::full_load(&TableName::parse("t").unwrap()))?;
        Some(self.footer(tag, bytes))
    }

    fn footer(&mut self, tag: &ETag, bytes: &Bytes) -> Footer {
        self.footers.entry(tag.clone()).or_insert_with(|| parse(bytes)).clone()
    }
}

fn parse(bytes: &Bytes) -> Footer {
    ParquetFile::open("object", Payload::Memory(bytes.clone())).unwrap().footer().clone()
}

fn has_claim(state: &Bytes) -> bool {
    let state: serde_json::Value = serde_json::from_slice(state).unwrap();
    !state["pending"].is_null()
}

fn name(call: &Call) -> String {
    match call {
        Call::Get(key) => format!("get {key}"),
        Call::Put(key, bytes, _) if key.starts_with("_state/") => {
            format!("{} in {key}", if has_claim(bytes) { "claim" } else { "commit" })
        }
        Call::Put(key, bytes, _) => format!("put {key} ({:?} of version {})", parse(bytes).kind, parse(bytes).rows),
        Call::List(prefix, _) => format!("list {prefix}"),
    }
}

fn outcome(answer: &Answer) -> &'static str {
    match answer {
        Answer::Object(None) => "nothing",
        Answer::Refused => "refused",
        Answer::Lost => "answer lost",
        _ => "done",
    }
}
