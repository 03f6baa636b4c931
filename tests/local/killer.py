"""A power cut at a chosen moment: a proxy in front of S3 that kills the program instead of passing one write on, or instead
of passing its answer back."""

from __future__ import annotations

import http.client
import subprocess
import tempfile
import threading
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Iterator

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


class PowerCut:
    """Kills its victim at one write: the first whose key ends in `suffix`, or the write of that number from 1. Before S3 has
    seen it; or `after` it took effect, so that the answer is lost."""

    def __init__(self, suffix: str = "", number: int = 1, after: bool = False) -> None:
        self.suffix, self.left, self.after = suffix, number, after
        self.victim: subprocess.Popen | None = None
        self.struck = threading.Event()
        self.lock = threading.Lock()

    def is_due(self, method: str, path: str) -> bool:
        """Whether this request is the one."""
        if method != "PUT" or not urllib.parse.urlsplit(path).path.endswith(self.suffix):
            return False
        with self.lock:
            self.left -= 1
            return self.left == 0

    def strike(self) -> None:
        self.struck.set()
        if self.victim is not None:
            self.victim.kill()


def run_into(cut: PowerCut, command: list[str], environment: dict[str, str]) -> int:
    """The exit code of a program whose storage, at AWS_ENDPOINT_URL, is behind the cut; -9 once it struck."""
    upstream = environment["AWS_ENDPOINT_URL"]
    with tempfile.TemporaryDirectory() as home, proxy(upstream, cut) as storage:
        environment = {**environment, "AWS_ENDPOINT_URL": storage, "HOME": home, "TMPDIR": home}
        with subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.DEVNULL) as victim:
            cut.victim = victim
            return victim.wait()


@contextmanager
def proxy(upstream: str, cut: PowerCut) -> Iterator[str]:
    """A proxy on loopback in front of `upstream`; its address."""
    place = urllib.parse.urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            due = cut.is_due(self.command, self.path)
            if due and not cut.after:
                return self.die()
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            connection = http.client.HTTPConnection(place, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if due:
                return self.die()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def die(self) -> None:
            cut.strike()
            self.close_connection = True

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
