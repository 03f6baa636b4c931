//! An S3 (and more) to test against: MiniStack on loopback, one per test process.
//!
//! `CDC_TEST_S3_ENDPOINT` names one that runs already (`emulator.py run -- COMMAND` sets it, so that many test
//! processes share one). Otherwise the process starts its own, from the virtual environment named by `CDC_TEST_VENV`
//! or `.venv` of the project; it ends when this process does, because then its standard input is closed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use cdc_to_s3::lake::store::{S3ClientOptions, s3_client};

/// The URL of the emulator of this process.
pub(crate) fn endpoint() -> &'static str {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    &EMULATOR.get_or_init(Emulator::find_or_start).endpoint
}

/// What the SDK would have found in an environment: `endpoint`, and credentials of the account `account` (12 digits).
pub(crate) fn sdk_config(endpoint: &str, account: &str) -> SdkConfig {
    let credentials = Credentials::new(account, "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// A client for an account of its own, and a new bucket in it.
pub(crate) async fn bucket() -> (Client, String) {
    let account = account();
    let client = s3_client(&sdk_config(endpoint(), &account), &S3ClientOptions::default());
    let bucket = format!("lake-{account}");
    client.create_bucket().bucket(&bucket).send().await.expect("a new bucket");
    (client, bucket)
}

/// The number of an account that nobody else uses.
pub(crate) fn account() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{:012}", process % 1_000_000 * 1000 + count)
}

struct Emulator {
    endpoint: String,
    /// Its standard input stays open as long as this process lives.
    _supervisor: Option<Child>,
}

impl Emulator {
    fn find_or_start() -> Self {
        match variable("CDC_TEST_S3_ENDPOINT") {
            Some(endpoint) => Self { endpoint, _supervisor: None },
            None => Self::start(),
        }
    }

    fn start() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let venv = variable("CDC_TEST_VENV").map_or_else(|| project.join(".venv"), PathBuf::from);
        let mut supervisor = Command::new(venv.join("bin/python"))
            .arg(project.join("tests/support/emulator.py"))
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("no emulator below {}: run `make test` ({error})", venv.display()));
        let mut endpoint = String::new();
        let stdout = supervisor.stdout.take().expect("a piped output");
        BufReader::new(stdout).read_line(&mut endpoint).expect("the output of the emulator");
        assert!(!endpoint.is_empty(), "the emulator did not start: run `make test`, which installs it");
        Self { endpoint: endpoint.trim().to_owned(), _supervisor: Some(supervisor) }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test process is a shell")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
