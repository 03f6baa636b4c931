"""End-to-end tests of the template with all of its conditions on: the schedules fire, the function runs under its own role
with IAM enforced, its role allows what it does and nothing else, and what it logs is what alarms and dashboard ask for.

Run by `make test`. The emulation neither keeps metrics of log lines nor evaluates alarms, so that the names are compared.
"""

from __future__ import annotations

import base64
import json
import random
import re
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml

import stack as local
from cases import Emulated
from killer import Recorder, proxy
from stack import Stack

SCHEDULED_WITHIN_S = 150
NAMESPACE = "cdc-to-s3"

# Versions of the dataset: the sample's first two, then a table whose files are uploaded in parts, then one that fails
# when most of it has been uploaded.
SAMPLE, CHANGED, LARGE, REPEATED = 1, 2, 3, 4
LARGE_ROWS, LARGE_CELL = 260_000, 150

# What the Lambda service does for the function, under its role, and the function itself never asks for.
BY_LAMBDA = {
    "log": {"logs:CreateLogStream", "logs:PutLogEvents"},
    "failed-runs": {"sqs:SendMessage"},
    "trace": {"xray:PutTraceSegments", "xray:PutTelemetryRecords"},
    "network": {
        "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
    },
}

# What S3 and Secrets Manager ask KMS for in the caller's name where a key of the customer's protects their content:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
BY_KEY = {
    "GetObject": {"kms:Decrypt"},
    "PutObject": {"kms:GenerateDataKey"},
    "CreateMultipartUpload": {"kms:GenerateDataKey"},
    "UploadPart": {"kms:Decrypt"},
    "GetSecretValue": {"kms:Decrypt"},
}


class Whole(Emulated):
    """One stack for all tests, deployed with everything on."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        add_versions(folder)
        cls.kaggle = cls.enterClassContext(local.stand_in(cls.programs.stand_in, folder))
        cls.kaggle.publish(SAMPLE)
        cls.stack = cls.deploy()

    @classmethod
    def deploy(cls) -> Stack:
        parameters = everything(cls.aws)
        stack = local.deploy(cls.aws, "whole", cls.programs.binary, {**local.sample_parameters(cls.kaggle), **parameters})
        stack.accept_plain_http()
        return stack

    def test_1_each_schedule_fires_and_fills_its_own_lake(self) -> None:
        keys = [f"{folder}/full-load/clientes/clientes.parquet" for folder in ("first", "second", "third", "fourth")]
        deadline = time.monotonic() + SCHEDULED_WITHIN_S
        while missing := [key for key in keys if key not in self.stack.objects()]:
            self.assertLess(time.monotonic(), deadline, f"the schedules did not bring {missing}: {self.stack.log()[-3:]}")
            time.sleep(2)
        scheduler = self.aws.client("scheduler")
        for schedule in scheduler.list_schedules()["Schedules"]:
            whole = scheduler.get_schedule(Name=schedule["Name"])
            scheduler.update_schedule(**{name: whole[name] for name in SCHEDULE_FIELDS if name in whole}, State="DISABLED")

    def test_2_alarms_and_dashboard_ask_for_what_a_run_logs(self) -> None:
        emitted = self.emitted()
        alarms = self.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
        own = [alarm for alarm in alarms if alarm.get("Namespace") == NAMESPACE]
        self.assertEqual(sorted(alarm["MetricName"] for alarm in own), ["Failed"] * 4 + ["GuardTripped"])
        for alarm in own:
            dimensions = frozenset((each["Name"], each["Value"]) for each in alarm["Dimensions"])
            self.assertIn((alarm["MetricName"], dimensions), emitted)
        for alarm in alarms:
            self.assertIn("docs/runbook.md", alarm["AlarmDescription"])
            self.assertLessEqual(len(alarm["AlarmDescription"]), 1024)
            self.assertEqual(len(alarm["AlarmActions"]), 1, alarm["AlarmName"])
        self.assert_dashboard_shows({name for name, _ in emitted})

    def assert_dashboard_shows(self, emitted: set[str]) -> None:
        cloudwatch = self.aws.client("cloudwatch")
        [entry] = cloudwatch.list_dashboards()["DashboardEntries"]
        body = cloudwatch.get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"]
        shown = set(re.findall(r'MetricName="(\w+)"', json.dumps(json.loads(body)).replace('\\"', '"')))
        # The last two are of SQL Server.
        self.assertEqual(shown - emitted, {"RetentionHeadroomHours", "CaptureAgeSeconds"})
        self.assertIn(self.stack.function, body)
        self.assertNotIn("${", body)

    def test_3_the_role_allows_what_runs_do_and_nothing_else(self) -> None:
        recorder = Recorder()
        with proxy(self.aws.endpoint, recorder) as recorded:
            self.send_through(recorded)
            self.assert_runs(SAMPLE, "2026-01-01T00:00:00Z")
            self.assert_runs(CHANGED, "2026-01-01T01:00:00Z")
            self.assert_runs(LARGE, "2026-01-01T02:00:00Z", config=large_config())
            failed = self.invoke(REPEATED, "2026-01-01T03:00:00Z", config=large_config())
            self.assertTrue(failed.failed)
            self.assertIn("DuplicateKeys", failed.payload["errorMessage"])
        parts = ("UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "ListMultipartUploads")
        for request in (*parts, "GetObject of a range"):
            self.assertIn(request, recorder.requests)
        by_key = set().union(*(actions for request, actions in BY_KEY.items() if request in recorder.requests))
        by_lambda = set().union(*BY_LAMBDA.values())
        self.assertEqual(self.allowed(), recorder.actions | by_key | by_lambda)

    def test_4_the_roles_are_bounded_and_policies_name_what_they_are_for(self) -> None:
        # The emulation's CloudFormation leaves a role's boundary out, so that only the template shows it.
        bounded = {"Fn::If": ["HasPermissionsBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
        resources_of_template = cfn_yaml.load(str(local.ROOT / "template.yaml"))["Resources"].values()
        roles = [each["Properties"] for each in resources_of_template if each["Type"] == "AWS::IAM::Role"]
        self.assertGreaterEqual(len(roles), 2)
        for role in roles:
            self.assertEqual(role.get("PermissionsBoundary"), bounded, role["Description"])
        for name, statement in self.statements():
            if name not in ("network", "trace"):
                self.assertNotIn("*", resources(statement), name)

    def send_through(self, endpoint: str) -> None:
        """Makes the function speak to S3 and Secrets Manager over another address."""
        functions = self.aws.client("lambda")
        variables = functions.get_function_configuration(FunctionName=self.stack.function)["Environment"]["Variables"]
        variables |= {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint}
        functions.update_function_configuration(FunctionName=self.stack.function, Environment={"Variables": variables})

    def invoke(self, version: int, moment: str, **keys: Any) -> local.Invocation:
        self.kaggle.publish(version)
        return self.stack.invoke({"run_at": moment, "lake": f"s3://{self.stack.bucket}/second/policy", **keys})

    def assert_runs(self, version: int, moment: str, **keys: Any) -> None:
        answer = self.invoke(version, moment, **keys)
        self.assertFalse(answer.failed, answer.payload)
        self.assertEqual(answer.payload["status"], "changed")

    def emitted(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """Each metric in the log with its dimensions, as CloudWatch would take it."""
        found = set()
        for line in map(json.loads, self.stack.log()):
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
                self.assertEqual(directive["Namespace"], NAMESPACE)
                for names in directive["Dimensions"]:
                    dimensions = frozenset((name, line[name]) for name in names)
                    found |= {(metric["Name"], dimensions) for metric in directive["Metrics"]}
        return found

    def allowed(self) -> set[str]:
        """Every action that the function's role allows."""
        lists = [statement["Action"] for _, statement in self.statements()]
        return {action for each in lists for action in ([each] if isinstance(each, str) else each)}

    def statements(self) -> list[tuple[str, dict[str, Any]]]:
        """The statements of the function's role, each with its policy's name."""
        iam = self.aws.client("iam")
        function = self.aws.client("lambda").get_function_configuration(FunctionName=self.stack.function)
        role = function["Role"].rpartition("/")[2]
        self.assertEqual(iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"], [])
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        documents = [(name, iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]) for name in names]
        return [(name, statement) for name, document in documents for statement in document["Statement"]]


SCHEDULE_FIELDS = ("Name", "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target", "Description")


def everything(aws: local.Emulation) -> dict[str, str]:
    """The parameters that turn all conditions on that go with Kaggle and a bucket of the stack's own."""
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    boundary = aws.client("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps(policy))["Policy"]["Arn"]
    login = json.dumps({"username": local.KAGGLE_USER, "key": local.KAGGLE_KEY})
    secret = aws.client("secretsmanager").create_secret(Name="kaggle", SecretString=login, KmsKeyId=key)["ARN"]
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="configurations")
    s3.put_object(Bucket="configurations", Key="loyalty.json", Body=(local.SAMPLE / "config.json").read_bytes())
    more = {}
    for number, folder in ((2, "second"), (3, "third"), (4, "fourth")):
        more[f"Config{number}"] = "s3://configurations/loyalty.json"
        more[f"Prefix{number}"], more[f"ScheduleExpression{number}"] = folder, "rate(1 minute)"
    return {
        "Prefix": "first",
        "ConfigObjectArn": "arn:aws:s3:::configurations/loyalty.json,arn:aws:s3:::configurations/other.json",
        "KaggleSecretArn": secret,
        "KmsKeyArn": key,
        "PermissionsBoundaryArn": boundary,
        "AlarmEmail": "data-team@example.com",
        "Tracing": "Active",
        "VpcSubnetIds": "subnet-0a1b2c3d",
        "VpcSecurityGroupIds": "sg-0a1b2c3d",
        "ReserveConcurrency": "false",
        "ScheduleState": "ENABLED",
        "ScheduleExpression": "rate(1 minute)",
        **more,
    }


def add_versions(folder: Path) -> None:
    for version in (SAMPLE, CHANGED):
        (folder / f"v{version}").symlink_to(local.SAMPLE / f"v{version}")
    chance = random.Random(1)
    # Text that does not compress well, so that the first row group, of 131,072 rows, is more than a part of an upload.
    lines = [f"{number},{base64.b64encode(chance.randbytes(LARGE_CELL)).decode()}\n" for number in range(LARGE_ROWS)]
    # A change in the first row, so that an upload has started when the repeated key shows.
    repeated = ["0,changed\n", *lines[1:], lines[0]]
    for version, rows in ((LARGE, lines), (REPEATED, repeated)):
        (folder / f"v{version}").mkdir()
        with open(folder / f"v{version}" / "large.csv", "w", encoding="ascii") as file:
            file.writelines(["id,noise\n", *rows])


def large_config() -> dict[str, Any]:
    return {"dataset_name": local.sample_config()["dataset_name"], "tables": [{"name": "large", "pk": "id"}]}


def resources(statement: dict[str, Any]) -> list[str]:
    found = statement["Resource"]
    return [found] if isinstance(found, str) else found


if __name__ == "__main__":
    local.exit_on_sigterm()
    unittest.main(verbosity=2)
