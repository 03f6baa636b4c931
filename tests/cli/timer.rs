//! The loop of `run`: it goes on after a passing fault, and ends when it is asked to, whatever it is doing.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::{CLIENTES, Desk, NEWER_CLIENTES, PRODUTOS};
use crate::support::dataset::zipped;
use crate::support::kaggle::{Endpoint, Fault, StandIn};

/// Longer than a loop that works needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A loop that is running.
struct Loop {
    process: Child,
    stdout: BufReader<ChildStdout>,
}

impl Loop {
    fn start(desk: &Desk, kaggle: &StandIn) -> Self {
        let mut command = desk.command(&["run", "--lake", "lake"]);
        command.env("KAGGLE_API_ENDPOINT", kaggle.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Self { process, stdout }
    }

    /// Reads on until the line of `total`.
    fn total(&mut self) -> String {
        let lines = self.stdout.by_ref().lines().map(Result::unwrap);
        lines.into_iter().find(|line| line.starts_with("total")).expect("a summary")
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// The exit code, which must come soon, and all of stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let started = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            if started.elapsed() > Duration::from_secs(20) {
                self.process.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut stderr = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.process.wait().unwrap().code(), stderr)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // It has ended already unless the test fails.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

async fn stand_in() -> StandIn {
    let kaggle = StandIn::start("owner/slug").await.unwrap();
    kaggle.publish(1, zipped(&[("clientes", CLIENTES), ("produtos", PRODUTOS)]));
    kaggle
}

/// Waits until the API was asked for the version so many times.
fn await_calls(kaggle: &StandIn, count: usize) {
    let started = Instant::now();
    while kaggle.requests_for(Endpoint::GetDataset).len() < count {
        assert!(started.elapsed() < PATIENCE, "the loop stands still");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_fault_is_printed_and_the_loop_goes_on() {
    let (desk, kaggle) = (Desk::new(), stand_in().await);
    let later = Fault { status: Some(429), retry_after: Some("4000".to_owned()), ..Fault::default() };
    kaggle.fault(Endpoint::GetDataset, later);
    let mut running = Loop::start(&desk, &kaggle);
    assert!(running.total().contains("changed"));
    kaggle.publish(2, zipped(&[("clientes", NEWER_CLIENTES), ("produtos", PRODUTOS)]));
    while !running.total().contains(" changed ") {}
    running.signal("INT");
    let (code, stderr) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("error[KaggleThrottled]") && stderr.contains("next run at "), "{stderr}");
    desk.run(&["verify", "--lake", "lake"]).expect(0, &["every change is there exactly once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_also_a_later_run_in_the_middle() {
    for signal in ["INT", "TERM"] {
        let (desk, kaggle) = (Desk::new(), stand_in().await);
        let silence = Fault { stall_after: Some(0), ..Fault::default() };
        [Fault::default(), silence].into_iter().for_each(|fault| kaggle.fault(Endpoint::GetDataset, fault));
        let mut running = Loop::start(&desk, &kaggle);
        running.total();
        await_calls(&kaggle, 2);
        running.signal(signal);
        let (code, stderr) = running.end();
        assert_eq!(code, Some(3), "{stderr}");
        assert!(stderr.contains("error[Interrupted]"), "{stderr}");
    }
}

#[test]
fn a_fault_of_the_configuration_ends_the_loop() {
    let desk = Desk::new();
    desk.run(&["run", "--lake", "lake", "--skip-download", "nowhere"]).expect(2, &["nowhere"]);
}
