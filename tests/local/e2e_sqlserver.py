"""End-to-end tests of the SQL Server job: template.yaml and the binary, on the emulation with IAM enforced.

Run by `make test`. What must come out is reckoned here from examples/shop/history.json, and the Parquet files are read by
pyarrow, so neither comes from the program under test.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import tempfile
import unittest
from decimal import Decimal
from typing import Any

import pyarrow.parquet
from botocore.exceptions import ClientError

import stack as local
from cases import Emulated
from killer import PowerCut, run_into
from stack import Stack

HISTORY = local.shop_history()
MOMENTS = [moment["time"] for moment in HISTORY["moments"]]
TABLES = {table["name"]: table["columns"] for table in HISTORY["tables"]}
CONFIG = local.SHOP / "config.json"
FIRST, CHANGES, IDLE, MORE = range(4)

Change = tuple[str, dict[str, Any]]


class Deployed(Emulated):
    """A database for each test."""

    def setUp(self) -> None:
        self.database = self.enterContext(local.database(self.programs.database))
        self.secret = local.keep_login(self.aws, self.database)

    def deploy(self, name: str, **parameters: str) -> Stack:
        given = {**local.shop_parameters(self.secret), **parameters}
        stack = local.deploy(self.aws, name, self.programs.binary, given)
        stack.accept_plain_http()
        return stack

    def run_moment(self, stack: Stack, number: int) -> dict[str, Any]:
        """Lets the schedule come round, and returns the report by table."""
        answer = stack.invoke(local.scheduled_event(MOMENTS[number]))
        self.assertFalse(answer.failed, answer.payload)
        return {table["name"]: table for table in answer.payload["tables"]}

    def test_each_moment_is_reported_and_published_exactly(self) -> None:
        stack = self.deploy("moments", Prefix="shop")
        for number in range(len(MOMENTS)):
            if number:
                self.assertEqual(self.database.move_on(), MOMENTS[number])
            before = stack.objects()
            report = self.run_moment(stack, number)
            for table in TABLES:
                with self.subTest(moment=MOMENTS[number], table=table):
                    # Orders begins with its rows as they are, Payments with the oldest change.
                    expected = [] if (table, number) == ("Orders", FIRST) else changes(table, number)
                    self.assert_published(stack, table, number, expected)
                    ops = [op for op, _ in expected]
                    counts = [report[f"dbo.{table}"][name] for name in ("inserted", "updated", "deleted")]
                    self.assertEqual(counts, [ops.count(op) for op in "IUD"])
            if number == IDLE:
                self.assert_only_positions_moved(stack, before)
        rows = read(stack.read("shop/full-load/Orders/Orders.parquet"))
        self.assertEqual([captured("Orders", row) for row in rows], [row for _, row in changes("Orders", FIRST)])
        self.assertEqual(self.program("verify", stack.lake), 0)
        self.assert_measured(stack.log())

    def test_the_same_event_again_writes_nothing(self) -> None:
        stack = self.deploy("again")
        self.run_moment(stack, FIRST)
        before = stack.objects()
        self.run_moment(stack, FIRST)
        self.assertEqual(stack.objects(), before)

    def test_whatever_write_a_run_is_killed_at_each_change_is_published_once(self) -> None:
        self.aws.client("s3").create_bucket(Bucket="killed")
        for after in (False, True):
            number, struck = 0, True
            while struck:
                number += 1
                with self.subTest(write=number, after=after), local.database(self.programs.database) as database:
                    local.keep_login(self.aws, database)
                    struck = self.kill_and_complete(database, f"s3://killed/{number}-{after}", PowerCut("", number, after))
            self.assertGreater(number, len(TABLES) * 3, "claim, changes and commit of each table are writes")

    def kill_and_complete(self, database: local.Database, lake: str, cut: PowerCut) -> bool:
        """Whether a run over changes has so many writes, and so was killed."""
        self.assertEqual(self.program("run", lake, MOMENTS[FIRST]), 0)
        database.move_on()
        code = run_into(cut, self.command("run", lake, MOMENTS[CHANGES]), self.aws.environment())
        self.assertEqual(code, -9 if cut.struck.is_set() else 0)
        self.assertEqual(self.program("run", lake, MOMENTS[CHANGES]), 0)
        self.assertEqual(self.program("verify", lake), 0)
        s3, prefix = self.aws.client("s3"), lake.removeprefix("s3://killed/")
        for table in TABLES:
            listed = s3.list_objects_v2(Bucket="killed", Prefix=f"{prefix}/Shop/{table}/cdc/").get("Contents", [])
            files = [s3.get_object(Bucket="killed", Key=item["Key"])["Body"].read() for item in listed]
            found = [(row["op"], captured(table, row)) for file in files for row in read(file)]
            first = [] if table == "Orders" else changes(table, FIRST)
            self.assertEqual(found, first + changes(table, CHANGES))
        return cut.struck.is_set()

    def test_the_role_reads_the_login_and_no_other_secret(self) -> None:
        stack = self.deploy("login")
        secrets = self.aws.client("secretsmanager", stack.role_credentials())
        secrets.get_secret_value(SecretId=self.secret)
        other = self.aws.client("secretsmanager").create_secret(Name="somebody-elses", SecretString="x")
        with self.assertRaisesRegex(ClientError, "AccessDenied"):
            secrets.get_secret_value(SecretId=other["ARN"])
        self.assertNotIn("SecretToFill", stack.outputs, "a secret for Kaggle was made")

    def test_a_network_and_a_schedule_of_its_own_take_effect(self) -> None:
        # The emulation ignores the function's VpcConfig, so only the role shows the network.
        network = {"VpcSubnetIds": "subnet-0a1b2c3d,subnet-4e5f6a7b", "VpcSecurityGroupIds": "sg-0a1b2c3d"}
        stack = self.deploy("network", SqlServerScheduleExpression="rate(7 minutes)", **network)
        function = self.aws.client("lambda").get_function_configuration(FunctionName=stack.function)
        self.assertEqual([name for name in function["Environment"]["Variables"] if "KAGGLE" in name], [])
        self.assertIn("network", self.policies(function["Role"]))
        self.assertEqual(self.schedules(stack), ["rate(7 minutes)"])
        plain = self.deploy("plain")
        function = self.aws.client("lambda").get_function_configuration(FunctionName=plain.function)
        self.assertEqual(sorted(self.policies(function["Role"])), ["failed-runs", "lake", "log", "secret"])

    def test_the_stack_makes_the_endpoints_of_its_network_where_it_is_told_to(self) -> None:
        ec2 = self.aws.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
        routes = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        group = ec2.create_security_group(GroupName="reader", Description="the function", VpcId=vpc)["GroupId"]
        network = {"VpcSubnetIds": subnet, "VpcSecurityGroupIds": group}
        self.deploy("reached", **network, VpcEndpointsIn=vpc, VpcRouteTableIds=routes)
        found = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["VpcEndpoints"]
        services = {endpoint["ServiceName"].rpartition(".")[2]: endpoint for endpoint in found}
        self.assertEqual(sorted(services), ["s3", "secretsmanager"])
        self.assertEqual(services["s3"]["RouteTableIds"], [routes])
        self.assertEqual(services["secretsmanager"]["SubnetIds"], [subnet])
        groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
        [ingress] = next(one["IpPermissions"] for one in groups if one["Description"].startswith("Lets reached"))
        self.assertEqual((ingress["FromPort"], ingress["ToPort"]), (443, 443))
        self.assertEqual([pair["GroupId"] for pair in ingress["UserIdGroupPairs"]], [group])

    def schedules(self, stack: Stack) -> list[str]:
        scheduler = self.aws.client("scheduler")
        found = [schedule for schedule in scheduler.list_schedules()["Schedules"] if stack.function in schedule["Target"]["Arn"]]
        return [scheduler.get_schedule(Name=schedule["Name"])["ScheduleExpression"] for schedule in found]

    def policies(self, role: str) -> list[str]:
        return self.aws.client("iam").list_role_policies(RoleName=role.rpartition("/")[2])["PolicyNames"]

    def test_half_a_description_is_refused(self) -> None:
        whole = local.shop_parameters(self.secret)
        cases = [
            ({"SqlServerSecretArn": self.secret, "Dataset": "a/b", "Tables": "[1]"}, "described by Config"),
            ({**whole, "VpcSubnetIds": "subnet-0a1b2c3d"}, "Give VpcSecurityGroupIds"),
            ({**whole, "VpcSecurityGroupIds": "sg-0a1b2c3d"}, "Give VpcSubnetIds"),
            ({**whole, "VpcEndpointsIn": "vpc-0a1b2c3d"}, "Give VpcSubnetIds with VpcEndpointsIn"),
        ]
        for parameters, words in cases:
            with self.subTest(words), self.assertRaisesRegex(ClientError, words):
                local.deploy(self.aws, "half", self.programs.binary, parameters)

    def assert_published(self, stack: Stack, table: str, number: int, expected: list[Change]) -> None:
        """The changes of one moment, as pyarrow reads them."""
        stamp = MOMENTS[number].translate(str.maketrans("T", "_", "-:Z"))
        key = f"shop/Shop/{table}/cdc/{table}_cdc_{stamp}.parquet"
        if not expected:
            self.assertNotIn(key, stack.objects())
            return
        rows = read(stack.read(key))
        self.assertEqual([(row["op"], captured(table, row)) for row in rows], expected)
        order = [row["_seq"] for row in rows]
        self.assertEqual(order, sorted(set(order)))

    def assert_measured(self, log: list[str]) -> None:
        """The log is JSON, without the password, and has what the template's alarms ask for."""
        self.assertNotIn(local.DATABASE_PASSWORD, "\n".join(log))
        lines = [json.loads(line) for line in log]
        directives = [(line, directive) for line in lines if "_aws" in line for directive in line["_aws"]["CloudWatchMetrics"]]
        found = {line.get("Table") for line, directive in directives if line["Database"] == HISTORY["database"]}
        self.assertEqual(found, {None, *(f"dbo.{table}" for table in TABLES)})
        names = {(metric["Name"], *directive["Dimensions"][0]) for _, directive in directives for metric in directive["Metrics"]}
        template = (local.ROOT / "template.yaml").read_text()
        queries = re.findall(r'SELECT (?:MIN|MAX)\((\w+)\) FROM "([\w-]+)" WHERE "Database" =', template)
        self.assertEqual(len(queries), 2)
        for metric, namespace in queries:
            self.assertIn((metric, "Database", "Table"), names)
            self.assertEqual({directive["Namespace"] for _, directive in directives}, {namespace})
        inserted = [line["Inserted"] for line in lines if line.get("Table") == "dbo.Orders" and "Inserted" in line]
        expected = [sum(op == "I" for op, _ in changes("Orders", number)) for number in range(len(MOMENTS))]
        self.assertEqual(inserted, [0, *expected[1:]])

    def assert_only_positions_moved(self, stack: Stack, before: dict[str, tuple[str, int]]) -> None:
        changed = {key for key, value in stack.objects().items() if before.get(key) != value}
        self.assertEqual(changed, {f"shop/_state/{table}.json" for table in TABLES})

    def program(self, command: str, lake: str, moment: str = "") -> int:
        """The exit code of the command line."""
        with tempfile.TemporaryDirectory() as home:
            environment = {**self.aws.environment(), "HOME": home, "TMPDIR": home}
            words = self.command(command, lake, moment)
            return subprocess.run(words, cwd=home, env=environment, stdout=subprocess.DEVNULL, check=False).returncode

    def command(self, command: str, lake: str, moment: str) -> list[str]:
        words = [str(self.programs.binary), command, "--config", str(CONFIG), "--lake", lake]
        return [*words, *(["--run-at", moment] if moment else [])]


def changes(table: str, number: int) -> list[Change]:
    """What the history says of a table at one moment, in order; a deleted row is as it was before."""
    rows: dict[int, dict[str, Any]] = {}
    found: list[Change] = []
    for moment in HISTORY["moments"][: number + 1]:
        found = []
        for change in (change for transaction in moment["transactions"] for change in transaction):
            if change["table"] != table:
                continue
            if "delete" in change:
                found.append(("D", rows.pop(change["delete"])))
                continue
            op = "I" if "insert" in change else "U"
            cells = change["insert"] if op == "I" else change["update"]
            row = {name: value(kind, cell) for (name, kind), cell in zip(TABLES[table], cells, strict=True)}
            rows[cells[0]] = row
            found.append((op, row))
    return found


def value(kind: str, cell: Any) -> Any:
    return Decimal(cell) if kind == "money" else cell


def captured(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row without the columns that the program adds."""
    return {name: row[name] for name, _ in TABLES[table]}


def read(content: bytes) -> list[dict[str, Any]]:
    return pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()


if __name__ == "__main__":
    local.exit_on_sigterm()
    unittest.main(verbosity=2)
