"""How long a run takes that finds the dataset's version unchanged: one API call, no download, nothing written.

Kaggle's API is played on loopback, without delay, so that what is left is what the program itself needs.
"""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Iterator

from measure import Cost, Failed, run

RUNS = 21


class StandIn(ThreadingHTTPServer):
    """A dataset whose current version, 1, is one archive."""

    daemon_threads = True

    def __init__(self, archive: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.archive, self.checks, self.downloads = archive, 0, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    """`GetDataset`, `DownloadDataset` and the archive that the latter redirects to."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: StandIn

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/GetDataset"):
            self.server.checks += 1
            self.reply(200, json.dumps({"currentVersionNumber": 1}).encode())
        else:
            self.reply(302, b"", location=f"{self.server.url}/archive.zip")

    def do_GET(self) -> None:
        self.server.downloads += 1
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.archive.stat().st_size))
        self.end_headers()
        with self.server.archive.open("rb") as archive:
            shutil.copyfileobj(archive, self.wfile)

    def reply(self, status: int, body: bytes, location: str | None = None) -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def stand_in(archive: Path) -> Iterator[StandIn]:
    with StandIn(archive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def unchanged_runs(binary: Path, config: Path, lake: Path, archive: Path, environment: dict[str, str]) -> list[Cost]:
    """Lets `lake` reach version 1, then looks for a newer one, again and again."""
    command = [binary, "run", "--once", "--config", config, "--lake", lake, "--json"]
    with stand_in(archive) as server:
        account = {"KAGGLE_API_TOKEN": "KGAT_none", "KAGGLE_API_ENDPOINT": server.url}
        run(command, {**environment, **account})
        server.checks = server.downloads = 0
        costs = [look(command, {**environment, **account}) for _ in range(RUNS)]
        if (server.checks, server.downloads) != (RUNS, 0):
            raise Failed(f"{RUNS} runs made {server.checks} version checks and {server.downloads} downloads")
    return costs


def look(command: list[str | Path], environment: dict[str, str]) -> Cost:
    """One look; the peak memory is what the program reports, as the kernel's figure for it is no less than this process's."""
    cost, output = run(command, environment)
    report = json.loads(output)
    if report["status"] != "unchanged":
        raise Failed(f"the version is the same, yet the run ended as {report['status']}")
    return replace(cost, peak_bytes=report["peak_rss_bytes"])
