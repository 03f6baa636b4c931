"""End-to-end tests of what is deployed: template.yaml and the binary, on the emulation with IAM enforced.

Run by `make test`. The expected counts are those that the generator of the sample dataset wrote down, and the Parquet
files are read by pyarrow, so neither comes from the program under test.
"""

from __future__ import annotations

import collections
import io
import json
import subprocess
import tempfile
import unittest
from collections.abc import Callable

import pyarrow.parquet
from botocore.exceptions import ClientError

import stack as local
from cases import BROKEN, EXPECTED, MOMENTS, Emulated, OnSample
from killer import PowerCut, proxy
from stack import Stack

OPS = {"I": "inserted", "U": "updated", "D": "deleted"}
COUNTS = ("rows", "inserted", "updated", "deleted", "silent_changes")


class Deployed(OnSample):
    def run_version(self, stack: Stack, version: int) -> dict:
        """Publishes a version, lets the schedule come round, and returns the report."""
        self.kaggle.publish(version)
        answer = stack.invoke(local.scheduled_event(MOMENTS[version]))
        self.assertFalse(answer.failed, answer.payload)
        return answer.payload

    def test_each_version_is_reported_and_published_exactly(self) -> None:
        stack = self.deploy("versions", Prefix="loyalty")
        for version, tables in EXPECTED.items():
            with self.subTest(version=version):
                report = self.run_version(stack, version)
                got = {table["name"]: {count: table[count] for count in COUNTS} for table in report["tables"]}
                self.assertEqual(got, tables)
                self.assert_published(stack, version, tables)
        self.assert_log_is_json(stack)
        self.assertEqual(self.verify(stack), 0)

    def test_the_same_event_again_writes_nothing(self) -> None:
        stack = self.deploy("redelivery", Prefix="loyalty")
        self.run_version(stack, 1)
        self.run_version(stack, 2)
        before = stack.objects()
        report = self.run_version(stack, 2)
        self.assertEqual(report["status"], "unchanged")
        self.assertEqual(stack.objects(), before)

    def test_without_a_prefix_the_lake_is_the_root_of_the_bucket(self) -> None:
        stack = self.deploy("root")
        self.run_version(stack, 1)
        self.assertEqual(stack.lake, f"s3://{stack.bucket}")
        self.assertIn("full-load/clientes/clientes.parquet", stack.objects())

    def test_an_existing_bucket_secret_key_and_configuration_are_used(self) -> None:
        administrator = {name: self.aws.client(name) for name in ("kms", "s3", "secretsmanager")}
        key = administrator["kms"].create_key()["KeyMetadata"]["Arn"]
        value = json.dumps({"username": local.KAGGLE_USER, "key": local.KAGGLE_KEY})
        secret = administrator["secretsmanager"].create_secret(Name="shared", SecretString=value, KmsKeyId=key)["ARN"]
        for bucket in ("shared-lake", "shared-config"):
            administrator["s3"].create_bucket(Bucket=bucket)
        config = (local.SAMPLE / "config.json").read_bytes()
        administrator["s3"].put_object(Bucket="shared-config", Key="loyalty.json", Body=config)
        parameters = {
            "Config": "s3://shared-config/loyalty.json",
            "ConfigObjectArn": "arn:aws:s3:::shared-config/loyalty.json",
            "BucketName": "shared-lake",
            "Prefix": "raw/loyalty",
            "KaggleSecretArn": secret,
            "KaggleApiEndpoint": self.kaggle.url,
            "KmsKeyArn": key,
            "AlarmEmail": "data-team@example.com",
            "ReserveConcurrency": "false",
        }
        stack = local.deploy(self.aws, "shared", self.programs.binary, parameters)
        self.run_version(stack, 1)
        self.assertNotIn("SecretToFill", stack.outputs)
        self.assertEqual(stack.lake, "s3://shared-lake/raw/loyalty")
        self.assertIn("raw/loyalty/full-load/clientes/clientes.parquet", stack.objects())

    def test_neither_configuration_nor_dataset_is_refused(self) -> None:
        with self.assertRaisesRegex(ClientError, "Give either Config, or Dataset with Tables"):
            local.deploy(self.aws, "nothing", self.programs.binary, {})

    def test_the_role_allows_what_a_run_needs_and_no_more(self) -> None:
        stack = self.deploy("role", Prefix="loyalty")
        role = stack.role_credentials()
        s3, secrets = self.aws.client("s3", role), self.aws.client("secretsmanager", role)
        inside = {"Bucket": stack.bucket, "Key": "loyalty/x"}
        outside = {"Bucket": stack.bucket, "Key": "loyalty-2/x"}
        s3.put_object(**inside, IfNoneMatch="*")
        s3.list_objects_v2(Bucket=stack.bucket, Prefix="loyalty/")
        self.assert_refused("NoSuchKey", lambda: s3.get_object(Bucket=stack.bucket, Key="loyalty/absent"))
        self.assert_denied(lambda: s3.put_object(**outside))
        self.assert_denied(lambda: s3.get_object(**outside))
        self.assert_denied(lambda: s3.delete_object(**inside))
        self.assert_denied(lambda: s3.list_objects_v2(Bucket=stack.bucket, Prefix=""))
        secrets.get_secret_value(SecretId=stack.outputs["SecretToFill"])
        other = self.aws.client("secretsmanager").create_secret(Name="somebody-elses", SecretString="x")
        self.assert_denied(lambda: secrets.get_secret_value(SecretId=other["ARN"]))

    def test_the_bucket_refuses_plain_http(self) -> None:
        parameters = local.sample_parameters(self.kaggle)
        stack = local.deploy(self.aws, "tls", self.programs.binary, parameters)
        s3 = self.aws.client("s3", stack.role_credentials())
        self.assert_denied(lambda: s3.put_object(Bucket=stack.bucket, Key="x"))

    def test_a_lake_outside_the_policy_is_a_configuration_error(self) -> None:
        stack = self.deploy("denied", Prefix="loyalty")
        functions = self.aws.client("lambda")
        variables = functions.get_function_configuration(FunctionName=stack.function)["Environment"]["Variables"]
        variables["CDC_LAKE"] = f"s3://{stack.bucket}/elsewhere"
        functions.update_function_configuration(FunctionName=stack.function, Environment={"Variables": variables})
        answer = stack.invoke(local.scheduled_event(MOMENTS[1]))
        self.assertTrue(answer.failed, answer.payload)
        self.assertEqual(answer.payload["errorType"], "Config")
        self.assertEqual(stack.objects(), {})

    def test_a_broken_table_fails_the_run_after_the_others_and_is_recorded(self) -> None:
        stack = self.deploy("broken", Prefix="loyalty")
        self.run_version(stack, 2)
        self.kaggle.publish(BROKEN)
        stack.invoke_later(local.scheduled_event(MOMENTS[BROKEN]))
        record = stack.failed_run()
        self.assertEqual(record["responsePayload"]["errorType"], "Data")
        self.assertIn("produtos", record["responsePayload"]["errorMessage"])
        self.assertEqual(record["requestPayload"]["time"], MOMENTS[BROKEN])
        published = [key for key in stack.objects() if key.endswith("_20261120_130000.parquet")]
        others = ["clientes", "transacao_produto", "transacoes"]
        self.assertEqual(published, [cdc_key(table, MOMENTS[BROKEN]) for table in others])

    def assert_published(self, stack: Stack, version: int, tables: dict[str, dict[str, int]]) -> None:
        """The files of one version, as pyarrow reads them."""
        objects = stack.objects()
        for table, counts in tables.items():
            full_load = read(stack, f"loyalty/full-load/{table}/{table}.parquet")
            self.assertEqual(full_load.num_rows, counts["rows"])
            expected = {"I": counts["inserted"], "U": counts["updated"], "D": counts["deleted"]}
            key = cdc_key(table, MOMENTS[version])
            if not any(expected.values()):
                self.assertNotIn(key, objects, "an unchanged table yields no file")
                continue
            changes = read(stack, key)
            self.assertEqual(changes.column_names[-1], "op")
            self.assertEqual(changes.column_names[:-1], full_load.column_names)
            ops = collections.Counter(changes["op"].to_pylist())
            self.assertEqual({op: ops[op] for op in expected}, expected)

    def assert_log_is_json(self, stack: Stack) -> None:
        lines = stack.log()
        self.assertTrue(lines, "the function logged nothing")
        for line in lines:
            self.assertTrue({"level", "_aws"} & json.loads(line).keys(), line)
            self.assertNotIn(local.KAGGLE_KEY, line)

    def assert_denied(self, call: Callable[[], object]) -> None:
        self.assert_refused("AccessDenied", call)

    def assert_refused(self, code: str, call: Callable[[], object]) -> None:
        with self.assertRaises(ClientError) as caught:
            call()
        self.assertEqual(caught.exception.response["Error"]["Code"].removesuffix("Exception"), code)

    def verify(self, stack: Stack) -> int:
        """The exit code of `cdc-to-s3 verify` on the stack's lake."""
        config = local.SAMPLE / "config.json"
        command = [str(self.programs.binary), "verify", "--config", str(config), "--lake", stack.lake]
        with tempfile.TemporaryDirectory() as home:
            environment = {**self.aws.environment(), "HOME": home}
            return subprocess.run(command, cwd=home, env=environment, check=False).returncode


class Killed(Emulated):
    """The program against S3, killed at each of its writes in turn, before and after the write took effect."""

    TABLE = "clientes"
    WRITES = 5  # claim, changes, full load, commit, report

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.aws.client("s3").create_bucket(Bucket="killed")

    def test_whatever_write_a_run_is_killed_at_each_change_is_published_once(self) -> None:
        for number in range(1, self.WRITES + 1):
            for after in (False, True):
                with self.subTest(write=number, after=after):
                    self.kill_and_complete(f"s3://killed/{number}-{after}", PowerCut(number=number, after=after))

    def test_the_writes_are_all_of_them(self) -> None:
        cut = PowerCut(number=self.WRITES + 1)
        self.assertEqual(self.program("run", "s3://killed/all", 1), 0)
        with proxy(self.aws.endpoint, cut) as storage:
            self.assertEqual(self.program("run", "s3://killed/all", 2, storage=storage), 0)
        self.assertFalse(cut.struck.is_set())

    def kill_and_complete(self, lake: str, cut: PowerCut) -> None:
        self.assertEqual(self.program("run", lake, 1), 0)
        with proxy(self.aws.endpoint, cut) as storage:
            self.assertEqual(self.program("run", lake, 2, storage=storage, cut=cut), -9)
        self.assertTrue(cut.struck.is_set())
        self.assertEqual(self.program("run", lake, 2), 0)
        self.assertEqual(self.program("verify", lake), 0)
        prefix = lake.removeprefix("s3://killed/")
        listed = self.aws.client("s3").list_objects_v2(Bucket="killed", Prefix=f"{prefix}/cdc/{self.TABLE}/")["Contents"]
        tables = [self.read(item["Key"]) for item in listed]
        ops = [collections.Counter(table["op"].to_pylist()) for table in tables if table.num_rows]
        expected = EXPECTED[2][self.TABLE]
        self.assertEqual(ops, [{"I": EXPECTED[1][self.TABLE]["rows"]}, {op: expected[count] for op, count in OPS.items()}])

    def read(self, key: str) -> pyarrow.Table:
        body = self.aws.client("s3").get_object(Bucket="killed", Key=key)["Body"]
        return pyarrow.parquet.read_table(io.BytesIO(body.read()))

    def program(self, command: str, lake: str, version: int = 0, storage: str = "", cut: PowerCut | None = None) -> int:
        """The exit code of the program; a version is taken from the sample's folder, as an event of its own."""
        arguments = [command, "--config", str(local.SAMPLE / "config.json"), "--lake", lake, "--table", self.TABLE]
        if version:
            arguments += ["--skip-download", str(local.SAMPLE / f"v{version}"), "--run-at", MOMENTS[version]]
        with tempfile.TemporaryDirectory() as home:
            environment = {**self.aws.environment(), "HOME": home, "TMPDIR": home}
            if storage:
                environment["AWS_ENDPOINT_URL"] = storage
            quiet = subprocess.DEVNULL
            with subprocess.Popen([str(self.programs.binary), *arguments], cwd=home, env=environment, stdout=quiet) as process:
                if cut:
                    cut.victim = process
                return process.wait()


def cdc_key(table: str, moment: str) -> str:
    stamp = moment.translate(str.maketrans("T", "_", "-:Z"))
    return f"loyalty/cdc/{table}/{table}_{stamp}.parquet"


def read(stack: Stack, key: str) -> pyarrow.Table:
    return pyarrow.parquet.read_table(io.BytesIO(stack.read(key)))


if __name__ == "__main__":
    local.exit_on_sigterm()
    unittest.main(verbosity=2)
