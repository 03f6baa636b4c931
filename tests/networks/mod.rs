//! Slow and broken networks: the real clients over a bad wire to the emulation of S3 and Secrets Manager, and to the
//! stand-in for Kaggle.
//!
//! What must hold: whatever can be waited out is waited out, whatever cannot ends as a `Transient` error before the
//! deadline, and what it leaves behind is completed by the next run over a good wire, each change exactly once.

mod deadline;
mod runs;
mod s3;
mod secrets;

use std::future::Future;
use std::time::{Duration, Instant};

use cdc_to_s3::lake::store::{S3ClientOptions, S3Options, S3Store, S3Timing, s3_client};

use crate::support::emulator;
use crate::support::wire::{Fault, Wire};

const SLOW_DOWN: Fault = Fault::Answer(503, "<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>");

/// Long enough for a busy emulator, short enough to be waited for.
fn timing() -> S3Timing {
    S3Timing {
        attempts: 3,
        backoff: Duration::from_millis(10),
        longest_backoff: Duration::from_millis(50),
        connect_timeout: Duration::from_secs(1),
        attempt_timeout: Duration::from_millis(1500),
        stalled_after: Duration::from_secs(1),
    }
}

/// A bucket, and the wire to it.
struct Bucket {
    wire: Wire,
    name: String,
}

impl Bucket {
    async fn new() -> Self {
        let (_, name) = emulator::bucket().await;
        Self { wire: Wire::to(emulator::endpoint()).await, name }
    }

    /// The lake over the wire.
    fn lake(&self, timing: S3Timing) -> S3Store {
        self.at(&self.wire.endpoint, timing, self.options())
    }

    /// The lake past the wire, as production waits.
    fn direct(&self) -> S3Store {
        self.at(emulator::endpoint(), S3Timing::default(), self.options())
    }

    fn at(&self, endpoint: &str, timing: S3Timing, options: S3Options) -> S3Store {
        let sdk = emulator::sdk_config(endpoint, self.name.strip_prefix("lake-").unwrap());
        S3Store::new(s3_client(&sdk, &S3ClientOptions { timing, ..S3ClientOptions::default() }), options)
    }

    fn options(&self) -> S3Options {
        S3Options::new(&self.name, "upcell")
    }
}

/// The outcome of `work` and the time that it took.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    (work.await, started.elapsed())
}
