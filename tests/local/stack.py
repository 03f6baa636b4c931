"""The production template, deployed onto a local emulation of AWS with a stand-in for Kaggle or SQL Server beside it.

Nothing here reaches the internet, or an AWS account: all servers listen on loopback, the environment of the caller is
not passed on to them, and the credentials are those of the emulation. IAM is enforced, so that a function under the
template's role can do what the template allows, and no more. Each context manager stops what it has started.
"""

from __future__ import annotations

import ctypes
import functools
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "examples" / "loyalty"
SHOP = ROOT / "examples" / "shop"
REGION = "us-east-1"
KAGGLE_USER, KAGGLE_KEY = "demo", "not-a-real-key"
DATABASE_USER, DATABASE_PASSWORD = "reader", "not-a-real-password"
DEPLOY_TIMEOUT_S, QUEUE_TIMEOUT_S, EXECUTION_TIMEOUT_S = 120, 60, 240


@dataclass(frozen=True)
class Programs:
    """The product as it was built: the binary, and the stand-ins for Kaggle and for a SQL Server database."""

    binary: Path
    stand_in: Path
    database: Path


def build() -> Programs:
    """Builds the development profile, showing Cargo's own progress."""
    examples = ["--example", "kaggle_stand_in", "--example", "sqlserver_stand_in"]
    flags = ["--locked", "--bin", "cdc-to-s3", *examples]
    subprocess.run(["cargo", "build", *flags], cwd=ROOT, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"],
        cwd=ROOT, check=True, capture_output=True,
    )
    folder = Path(json.loads(metadata.stdout)["target_directory"]) / "debug"
    stand_ins = [folder / "examples" / name for name in ("kaggle_stand_in", "sqlserver_stand_in")]
    return Programs(folder / "cdc-to-s3", *stand_ins)


class Emulation:
    """AWS on a loopback port."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def client(self, service: str, credentials: dict[str, str] | None = None) -> Any:
        """A client of the account's administrator, or of whose `credentials` these are."""
        keys = credentials or {"AccessKeyId": "test", "SecretAccessKey": "test"}
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
            config=Config(retries={"total_max_attempts": 1}, read_timeout=900),
        )

    def environment(self) -> dict[str, str]:
        """What the command line needs to work on this emulation."""
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
        return {**bare_environment(), **keys, "AWS_ENDPOINT_URL": self.endpoint}


class StandIn:
    """Kaggle's dataset API on a loopback port."""

    def __init__(self, url: str) -> None:
        self.url = url

    def publish(self, version: int) -> None:
        """Makes `version` the dataset's current one."""
        post(f"{self.url}/_control/publish", {"version": version})


class Database:
    """A SQL Server database on a loopback port, at the first moment of its history."""

    def __init__(self, process: subprocess.Popen, address: str) -> None:
        self.process = process
        self.host, _, port = address.rpartition(":")
        self.port = int(port)

    def move_on(self) -> str:
        """Lets the next moment of the history come; its time."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().strip().replace("+00:00", "Z")

    def secret(self) -> str:
        """The login, in the format of RDS."""
        login = {"engine": "sqlserver", "username": DATABASE_USER, "password": DATABASE_PASSWORD}
        return json.dumps({**login, "host": self.host, "port": self.port, "dbname": shop_history()["database"]})


@dataclass(frozen=True)
class Invocation:
    """What an invocation came to: a report, or an error with its type."""

    failed: bool
    payload: dict[str, Any]
    elapsed_s: float


@dataclass(frozen=True)
class Execution:
    """What an execution of the state machine came to: a report, or an error; and what its map counted."""

    status: str
    output: dict[str, Any]
    error: str
    cause: str
    items: list[dict[str, int]]


class Stack:
    """The deployed template."""

    def __init__(self, aws: Emulation, name: str) -> None:
        self.aws, self.name = aws, name
        stack = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.function = self.outputs["FunctionName"]
        self.lake = self.outputs["Lake"]
        self.bucket, _, self.prefix = self.lake.removeprefix("s3://").partition("/")

    def fill_secret(self) -> None:
        """Does what the operator does once: gives the stack's secret its value."""
        value = json.dumps({"username": KAGGLE_USER, "key": KAGGLE_KEY})
        self.aws.client("secretsmanager").put_secret_value(SecretId=self.outputs["SecretToFill"], SecretString=value)

    def accept_plain_http(self) -> None:
        """Lifts the bucket's TLS-only policy, as the emulation offers no TLS; IAM goes on being enforced."""
        self.aws.client("s3").delete_bucket_policy(Bucket=self.bucket)

    def invoke(self, event: dict[str, Any]) -> Invocation:
        """Runs the function and waits for its answer."""
        begun = time.monotonic()
        payload = json.dumps(event).encode()
        answer = self.aws.client("lambda").invoke(FunctionName=self.function, Payload=payload)
        body = json.loads(answer["Payload"].read() or b"null")
        return Invocation("FunctionError" in answer, body, time.monotonic() - begun)

    def invoke_later(self, event: dict[str, Any]) -> None:
        """Runs the function as a schedule does: nobody waits for the answer."""
        payload = json.dumps(event).encode()
        self.aws.client("lambda").invoke(FunctionName=self.function, Payload=payload, InvocationType="Event")

    def execute(self, event: dict[str, Any]) -> Execution:
        """Runs the state machine to its end, as its schedule does."""
        machine, states = self.outputs["StateMachineArn"], self.aws.client("stepfunctions")
        started = states.start_execution(stateMachineArn=machine, input=json.dumps(event))["executionArn"]
        deadline = time.monotonic() + EXECUTION_TIMEOUT_S
        while (found := states.describe_execution(executionArn=started))["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise TimeoutError(f"the execution did not end within {EXECUTION_TIMEOUT_S} s")
            time.sleep(0.1)
        runs = states.list_map_runs(executionArn=started)["mapRuns"]
        counts = [states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"] for run in runs]
        output = json.loads(found["output"]) if "output" in found else {}
        return Execution(found["status"], output, found.get("error", ""), found.get("cause", ""), counts)

    def failed_run(self) -> dict[str, Any]:
        """Waits for a record in the queue of failed runs, and takes it."""
        queue, url = self.aws.client("sqs"), self.outputs["FailedRunsQueueUrl"]
        deadline = time.monotonic() + QUEUE_TIMEOUT_S
        while time.monotonic() < deadline:
            for message in queue.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages", []):
                queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                return json.loads(message["Body"])
        raise TimeoutError(f"no failed run was recorded within {QUEUE_TIMEOUT_S} s")

    def objects(self) -> dict[str, tuple[str, int]]:
        """Every object of the bucket: its key, with ETag and size."""
        pages = self.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        found = (item for page in pages for item in page.get("Contents", []))
        return {item["Key"]: (item["ETag"], item["Size"]) for item in found}

    def read(self, key: str) -> bytes:
        """The bytes of one object."""
        return self.aws.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def log(self) -> list[str]:
        """The function's own log lines, without those that Lambda adds."""
        answer = self.aws.client("logs").filter_log_events(logGroupName=self.outputs["LogGroupName"])
        lines = (line for event in answer["events"] for line in event["message"].splitlines())
        by_lambda = ("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START")
        return [line for line in lines if line.strip() and not line.startswith(by_lambda)]

    def role_credentials(self) -> dict[str, str]:
        """Credentials of the function's role, to try what they allow."""
        role = self.aws.client("lambda").get_function_configuration(FunctionName=self.function)["Role"]
        return self.aws.client("sts").assume_role(RoleArn=role, RoleSessionName="check")["Credentials"]


def deploy(aws: Emulation, name: str, binary: Path, parameters: dict[str, str]) -> Stack:
    """Creates a stack from template.yaml: only the place of the code differs from a real deployment."""
    storage, formation = aws.client("s3"), aws.client("cloudformation")
    place = f"{name}-packages"
    storage.create_bucket(Bucket=place)
    storage.put_object(Bucket=place, Key="function.zip", Body=packaged(binary))
    # As `sam deploy` does: a template in a bucket may be larger than one in a request.
    template = template_with_code(f"s3://{place}/function.zip")
    storage.put_object(Bucket=place, Key="template.yaml", Body=template.encode())
    machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    formation.create_stack(
        StackName=name,
        TemplateURL=f"https://s3.{REGION}.amazonaws.com/{place}/template.yaml",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=parameter_list({"Architecture": machine, "ScheduleState": "DISABLED", **parameters}),
    )
    wait_until_created(formation, name)
    return Stack(aws, name)


def sample_parameters(kaggle: StandIn) -> dict[str, str]:
    """The parameters that make a stack read the sample dataset from the stand-in."""
    config = sample_config()
    tables = json.dumps(config["tables"])
    return {"Dataset": config["dataset_name"], "Tables": tables, "KaggleApiEndpoint": kaggle.url}


def shop_parameters(secret_arn: str) -> dict[str, str]:
    """The parameters of a stack that reads the database whose login is in this secret."""
    return {"Config": (SHOP / "config.json").read_text(), "SqlServerSecretArn": secret_arn}


def keep_login(aws: Emulation, database: Database) -> str:
    """Puts the database's login into the secret that examples/shop/config.json names; its ARN."""
    name = json.loads((SHOP / "config.json").read_text())["source"]["secret_id"]
    secrets = aws.client("secretsmanager")
    try:
        return secrets.create_secret(Name=name, SecretString=database.secret())["ARN"]
    except secrets.exceptions.ResourceExistsException:
        return secrets.put_secret_value(SecretId=name, SecretString=database.secret())["ARN"]


def shop_history() -> dict[str, Any]:
    """examples/shop/history.json."""
    return json.loads((SHOP / "history.json").read_text())


def sample_config() -> dict[str, Any]:
    """examples/loyalty/config.json."""
    return json.loads((SAMPLE / "config.json").read_text())


def scheduled_event(time_text: str) -> dict[str, Any]:
    """events/schedule.json, moved to another time."""
    event = json.loads((ROOT / "events" / "schedule.json").read_text())
    return {**event, "time": time_text}


@contextmanager
def emulation() -> Iterator[Emulation]:
    """AWS as MiniStack plays it, with IAM enforced."""
    script = ROOT / "tests" / "support" / "emulator.py"
    settings = {"AUTH": "true", "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1", "SFN_WAIT_SCALE": "0.01"}
    with tempfile.TemporaryDirectory(prefix="cdc-to-s3-", ignore_cleanup_errors=True) as scratch:
        environment = {**bare_environment(), **settings, "TMPDIR": scratch}
        with server([sys.executable, str(script), "serve"], environment) as endpoint:
            try:
                yield Emulation(endpoint)
            finally:
                post(f"{endpoint}/_ministack/reset", {})  # ends the functions' own processes


@contextmanager
def stand_in(program: Path, folder: Path) -> Iterator[StandIn]:
    """Kaggle as the project's own stand-in plays it, serving the versions in `folder`."""
    dataset = sample_config()["dataset_name"]
    account = ["--username", KAGGLE_USER, "--key", KAGGLE_KEY]
    command = [str(program), "--listen", "127.0.0.1:0", "--dataset", dataset, "--dir", str(folder), *account]
    with server(command, bare_environment()) as first_line:
        yield StandIn(first_line.removeprefix("listening on ").rstrip("/"))


@contextmanager
def database(program: Path) -> Iterator[Database]:
    """SQL Server as the project's own stand-in plays it, with the history of a small shop."""
    account = ["--user", DATABASE_USER, "--password", DATABASE_PASSWORD]
    command = [str(program), "--listen", "127.0.0.1:0", "--history", str(SHOP / "history.json"), *account]
    with child(command, bare_environment()) as (process, first_line):
        yield Database(process, first_line.removeprefix("listening on "))


@contextmanager
def server(command: list[str], environment: dict[str, str]) -> Iterator[str]:
    """The first line that a child process has printed."""
    with child(command, environment) as (_, first_line):
        yield first_line


@contextmanager
def child(command: list[str], environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen, str]]:
    """A child process that is ready when it has printed a line; it does not outlive this one, even if that is killed."""
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True, preexec_fn=terminate_with_parent,
    ) as process:
        try:
            first_line = process.stdout.readline().decode().strip()
            if not first_line:
                raise RuntimeError(f"{Path(command[0]).name} ended before it was ready (exit code {process.wait()})")
            yield process, first_line
        finally:
            stop(process)


def stop(process: subprocess.Popen) -> None:
    """Asks first, then insists."""
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()


def post(url: str, body: dict[str, Any]) -> None:
    """Gives an order to one of the servers."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=30):
        pass


def terminate_with_parent() -> None:
    """Where the kernel offers it (PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def exit_on_sigterm() -> None:
    """Lets the context managers stop their servers when this process is asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def bare_environment() -> dict[str, str]:
    """What any program needs, and none of the caller's credentials, proxies or settings."""
    kept = ("PATH", "TMPDIR", "LANG", "LC_ALL", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ}


@functools.cache
def packaged(binary: Path) -> bytes:
    """The zip that Lambda expects: the binary under the name bootstrap."""
    package, entry = io.BytesIO(), zipfile.ZipInfo("bootstrap")
    entry.external_attr, entry.compress_type = 0o755 << 16, zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(entry, binary.read_bytes(), compresslevel=1)
    return package.getvalue()


def template_with_code(location: str) -> str:
    """What `sam package` makes of template.yaml."""
    text, place = (ROOT / "template.yaml").read_text(), "CodeUri: .\n"
    if text.count(place) != 1:
        raise ValueError(f"template.yaml must hold {place.strip()!r} exactly once")
    return text.replace(place, f"CodeUri: {location}\n")


def parameter_list(parameters: dict[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]


def wait_until_created(formation: Any, name: str) -> None:
    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    while (status := formation.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"] == "CREATE_IN_PROGRESS":
        if time.monotonic() > deadline:
            raise TimeoutError(f"stack {name} was not created within {DEPLOY_TIMEOUT_S} s")
        time.sleep(0.2)
    if status["StackStatus"] != "CREATE_COMPLETE":
        events = formation.describe_stack_events(StackName=name)["StackEvents"]
        reasons = [event["ResourceStatusReason"] for event in events if "ResourceStatusReason" in event]
        raise RuntimeError(f"stack {name}: {status['StackStatus']}: " + "; ".join(reasons))
