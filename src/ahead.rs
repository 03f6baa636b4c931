//! Two steps of work at once: one thread produces, the caller's consumes, and few results wait in between.

use std::iter::Flatten;
use std::sync::mpsc::{Receiver, sync_channel};
use std::{thread, vec};

use crate::error::{Error, Result};

/// Results that may wait.
const WAITING: usize = 4;

/// The results of producers, in order: all of the first, then all of the next.
pub(crate) type Results<T> = Flatten<vec::IntoIter<Receiver<T>>>;

/// Runs `produce` on a thread called `name`, which gives its results to the function that it is passed; `consume` takes them
/// in order, here, and may do other things before it takes the first. The first error of either ends both, and one of
/// `consume` wins; what it makes of results that end early because of an error is dropped.
pub(crate) fn ahead<T, R, E>(
    name: &str,
    produce: impl FnOnce(&mut dyn FnMut(T) -> Result<()>) -> Result<(), E> + Send,
    consume: impl FnOnce(Results<T>) -> Result<R>,
) -> Result<R, E>
where
    T: Send,
    E: From<Error> + Send,
{
    all_ahead(name, [produce], consume)
}

/// Like [`ahead`], but with a thread for each of several producers.
pub(crate) fn all_ahead<T, R, E, P>(
    name: &str,
    producers: impl IntoIterator<Item = P>,
    consume: impl FnOnce(Results<T>) -> Result<R>,
) -> Result<R, E>
where
    T: Send,
    E: From<Error> + Send,
    P: FnOnce(&mut dyn FnMut(T) -> Result<()>) -> Result<(), E> + Send,
{
    thread::scope(|scope| {
        let (mut threads, mut results) = (Vec::new(), Vec::new());
        for produce in producers {
            let (send, received) = sync_channel(WAITING);
            let stopped = |_| Error::internal("ConsumerStopped", "nobody takes the results any more");
            let run = move || produce(&mut |result| send.send(result).map_err(stopped));
            threads.push(thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, run).map_err(no_thread)?);
            results.push(received);
        }
        let made = consume(results.into_iter().flatten())?;
        for thread in threads {
            thread.join().map_err(|_| {
                Error::internal("Panic", format!("the thread {name} ended in a panic; nothing was published"))
            })??;
        }
        Ok(made)
    })
}

/// The error of a thread that could not be started.
pub(crate) fn no_thread(error: std::io::Error) -> Error {
    Error::internal("NoThread", "cannot start a thread").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(give: &mut dyn FnMut(u32) -> Result<()>) -> Result<()> {
        (0..100).try_for_each(give)
    }

    #[test]
    fn results_come_in_order() {
        let mut seen = Vec::new();
        ahead("test", numbers, |results| {
            seen.extend(results);
            Ok(())
        })
        .unwrap();
        assert!(seen.into_iter().eq(0..100));
    }

    #[test]
    fn the_results_of_several_producers_come_one_after_the_other() {
        let producers = [0, 100, 200]
            .map(|from| move |give: &mut dyn FnMut(u32) -> Result<()>| (from..from + 100).try_for_each(give));
        let seen: Vec<u32> = all_ahead("test", producers, |results| Ok(results.collect())).unwrap();
        assert!(seen.into_iter().eq(0..300));
    }

    #[test]
    fn the_first_error_of_either_side_ends_both() {
        let full = |number: u32| if number < 7 { Ok(()) } else { Err(Error::data("Full", "no more")) };
        assert_eq!(ahead("test", numbers, |mut results| results.try_for_each(full)).unwrap_err().code(), "Full");
        let broken = |give: &mut dyn FnMut(u32) -> Result<()>| {
            give(1)?;
            Err(Error::data("Broken", "half way"))
        };
        assert_eq!(ahead("test", broken, |results| Ok(results.count())).unwrap_err().code(), "Broken");
        let panics = |_: &mut dyn FnMut(u32) -> Result<()>| -> Result<()> { panic!("on purpose") };
        assert_eq!(ahead("test", panics, |results| Ok(results.count())).unwrap_err().code(), "Panic");
    }
}
