"""End-to-end tests of a run in steps: the state machine of template.yaml, as the emulation's Step Functions run it, with the
real function under its own role.

Run by `make test`. The measure is the single function: both stacks see the same versions at the same times.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import unittest
from typing import Any

import stack as local
from cases import BROKEN, MOMENTS, OnSample
from killer import PowerCut, proxy
from stack import Execution, Stack

TIMELESS = {"elapsed_ms", "peak_rss_bytes"}
TABLES = ["clientes", "produtos", "transacao_produto", "transacoes"]


class ByMap(OnSample):
    def deploy(self, name: str, **parameters: str) -> Stack:
        return super().deploy(name, **{"Prefix": "loyalty", **parameters})

    def deploy_map(self, name: str) -> Stack:
        return self.deploy(name, Orchestration="map", MapConcurrency="4")

    def run_version(self, stack: Stack, version: int) -> Execution:
        self.kaggle.publish(version)
        return stack.execute({"run_at": MOMENTS[version]})

    def test_the_steps_report_and_publish_what_the_single_function_does(self) -> None:
        stepped, whole = self.deploy_map("stepped"), self.deploy("whole")
        for version in (1, 2, 3):
            with self.subTest(version=version):
                execution = self.run_version(stepped, version)
                self.assertEqual(execution.status, "SUCCEEDED", execution.cause)
                expected = whole.invoke({"run_at": MOMENTS[version]})
                self.assertFalse(expected.failed, expected.payload)
                self.assertEqual(timeless(execution.output), timeless(expected.payload))
                self.assertEqual(stepped.objects().keys(), whole.objects().keys())
        self.assertEqual(self.verify(stepped), 0)

    def test_the_same_event_again_starts_no_table_and_writes_nothing(self) -> None:
        stack = self.deploy_map("again")
        first = self.run_version(stack, 1)
        self.assertEqual(first.items[0]["succeeded"], len(TABLES))
        before = stack.objects()
        second = self.run_version(stack, 1)
        self.assertEqual((second.status, second.output["status"]), ("SUCCEEDED", "unchanged"), second.cause)
        self.assertEqual(sum(items["total"] for items in second.items), 0)
        self.assertEqual(stack.objects(), before)

    def test_a_broken_table_fails_the_execution_after_the_others_are_done(self) -> None:
        stack = self.deploy_map("broken")
        self.run_version(stack, 2)
        execution = self.run_version(stack, BROKEN)
        self.assertEqual((execution.status, execution.error), ("FAILED", "Data"))
        self.assertIn("1 of 4 tables failed; `produtos`: TableMissing", execution.cause)
        stamp = MOMENTS[BROKEN].translate(str.maketrans("T", "_", "-:Z"))
        published = [key for key in stack.objects() if "/cdc/" in key and stamp in key]
        self.assertEqual(len(published), 3, published)
        report = json.loads(stack.read(f"loyalty/_runs/{stamp}.json"))
        self.assertEqual([table["status"] for table in report["tables"]], ["changed", "failed", "changed", "changed"])

    def test_a_table_killed_in_the_middle_is_retried_as_the_same_run(self) -> None:
        for number, (suffix, after) in enumerate(
            [("cdc/clientes/clientes_20261120_110000.parquet", True), ("full-load/clientes/clientes.parquet", False)]
        ):
            with self.subTest(suffix=suffix, after=after):
                stack = self.deploy_map(f"killed-{number}")
                self.assertEqual(self.run_version(stack, 1).status, "SUCCEEDED")
                cut = PowerCut(suffix, after=after)
                with proxy(self.aws.endpoint, cut, kill_client=True) as storage:
                    self.send_storage_through(stack, storage)
                    execution = self.run_version(stack, 2)
                self.assertTrue(cut.struck.is_set(), "nothing was killed")
                self.assertEqual(execution.status, "SUCCEEDED", execution.cause)
                stamp = [key for key in stack.objects() if "/cdc/" in key and "20261120_11" in key]
                self.assertEqual(sum("/clientes/" in key for key in stamp), 1, stamp)
                self.assertEqual(self.verify(stack), 0)

    def test_the_machines_role_allows_the_function_and_its_own_executions_only(self) -> None:
        stack = self.deploy_map("roles")
        machine = stack.outputs["StateMachineArn"]
        role = self.aws.client("stepfunctions").describe_state_machine(stateMachineArn=machine)["roleArn"]
        name = role.rpartition("/")[2]
        policy = self.aws.client("iam").get_role_policy(RoleName=name, PolicyName="steps")["PolicyDocument"]
        statements = {statement["Sid"]: statement for statement in policy["Statement"]}
        self.assertEqual(statements["TheTables"]["Resource"], machine)
        self.assertTrue(statements["TheFunction"]["Resource"].endswith(f":function:{stack.function}"))

    def send_storage_through(self, stack: Stack, storage: str) -> None:
        """Puts a proxy between the function and S3."""
        functions = self.aws.client("lambda")
        variables = functions.get_function_configuration(FunctionName=stack.function)["Environment"]["Variables"]
        variables["AWS_ENDPOINT_URL_S3"] = storage
        functions.update_function_configuration(FunctionName=stack.function, Environment={"Variables": variables})

    def verify(self, stack: Stack) -> int:
        """The exit code of `cdc-to-s3 verify` on the stack's lake."""
        command = [str(self.programs.binary), "verify", "--config", str(local.SAMPLE / "config.json"), "--lake", stack.lake]
        with tempfile.TemporaryDirectory() as home:
            environment = {**self.aws.environment(), "HOME": home}
            return subprocess.run(command, cwd=home, env=environment, check=False).returncode


def timeless(report: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from run to run."""
    tables = [{name: value for name, value in table.items() if name not in TIMELESS} for table in report["tables"]]
    return {**{name: value for name, value in report.items() if name not in TIMELESS}, "tables": tables}


if __name__ == "__main__":
    local.exit_on_sigterm()
    unittest.main(verbosity=2)
