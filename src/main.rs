//! The shell: serves events where a Lambda runtime is there to send them, and is a command-line tool elsewhere.

#![recursion_limit = "256"] // the futures of the AWS SDK nest deeply

use std::process::ExitCode;

use cdc_to_s3::cli;
use cdc_to_s3::clients::Clients;
use cdc_to_s3::config::{AWS_LAMBDA_FUNCTION_NAME, CDC_LOG_FORMAT, Environment, RUST_LOG};
use cdc_to_s3::lambda::Handler;
use cdc_to_s3::telemetry::{self, LogFormat};
use lambda_runtime::service_fn;

/// Set by Lambda, and by `cargo lambda watch`.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// Set by both too, and without which the runtime's library panics.
const OF_THE_FUNCTION: [&str; 3] =
    [AWS_LAMBDA_FUNCTION_NAME, "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"];

/// The runtime's library logs the debug form of errors that the handler has logged for people, and of panics, which the
/// standard library has printed.
const SAID_ALREADY: &str = "lambda_runtime::layers::panic=off";

fn main() -> ExitCode {
    let environment = environment();
    if environment.get(RUNTIME_API).is_some() { serve(environment) } else { cli::main(environment, home()) }
}

#[tokio::main]
async fn serve(environment: Environment) -> ExitCode {
    let format = if environment.get(CDC_LOG_FORMAT) == Some("text") { LogFormat::Text } else { LogFormat::Json };
    let filter = format!("{SAID_ALREADY},{}", environment.get(RUST_LOG).unwrap_or("info"));
    telemetry::init(format, Some(&filter), "info");
    if let Some(missing) = OF_THE_FUNCTION.into_iter().find(|name| environment.get(name).is_none()) {
        tracing::error!("{RUNTIME_API} is set but {missing} is not; unset the former to use the command line");
        return ExitCode::FAILURE;
    }
    let handler = Handler::new(Clients::new(environment, home()), std::env::temp_dir());
    let handler = &handler;
    match lambda_runtime::run(service_fn(move |event| handler.handle(event))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the shell: the environment enters here")]
fn environment() -> Environment {
    Environment::from_pairs(std::env::vars())
}

fn home() -> Option<std::path::PathBuf> {
    std::env::home_dir()
}
