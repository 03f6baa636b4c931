"""What the end-to-end tests begin with: the emulation, and stacks that read the sample dataset's versions."""

from __future__ import annotations

import json
import shutil
import tempfile
import unittest
from pathlib import Path

import stack as local
from stack import Stack

EXPECTED = {int(version): tables for version, tables in json.loads((local.SAMPLE / "expected.json").read_text()).items()}
BROKEN = 4
"""A version beyond the sample's, in which a table is missing."""
MOMENTS = {version: f"2026-11-20T{9 + version:02}:00:00Z" for version in range(1, BROKEN + 1)}


class Emulated(unittest.TestCase):
    """One emulation for all tests."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.programs = local.build()
        cls.aws = cls.enterClassContext(local.emulation())


class OnSample(Emulated):
    """A stack and a stand-in for Kaggle for each test."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.dataset = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        for version in EXPECTED:
            (cls.dataset / f"v{version}").symlink_to(local.SAMPLE / f"v{version}")
        shutil.copytree(local.SAMPLE / "v3", cls.dataset / f"v{BROKEN}")
        (cls.dataset / f"v{BROKEN}" / "produtos.csv").unlink()

    def setUp(self) -> None:
        self.kaggle = self.enterContext(local.stand_in(self.programs.stand_in, self.dataset))

    def deploy(self, name: str, **parameters: str) -> Stack:
        """A stack that is ready for its first run."""
        given = {**local.sample_parameters(self.kaggle), **parameters}
        stack = local.deploy(self.aws, name, self.programs.binary, given)
        stack.accept_plain_http()
        stack.fill_secret()
        return stack
