"""A power cut at a chosen moment: a proxy in front of S3 that kills the program instead of passing one write on, or instead
of passing its answer back. Or only a note of each request."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import tempfile
import threading
import urllib.parse
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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

    def is_due(self, method: str, path: str, _headers: Mapping[str, str]) -> bool:
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


class Recorder:
    """Lets everything pass, and notes which permission of IAM each request needs."""

    after = False

    def __init__(self) -> None:
        self.actions: set[str] = set()
        self.requests: set[str] = set()

    def is_due(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """Notes the request."""
        service, _, operation = (headers.get("x-amz-target") or "").rpartition(".")
        if service:
            self.requests.add(operation)
            self.actions.add(f"{service}:{operation}")
        else:
            request = s3_request(method, path, "range" in headers)
            self.requests.add(request)
            self.actions.add(S3_ACTIONS.get(request, f"unknown {request}"))
        return False

    def strike(self) -> None:
        raise AssertionError("nothing is ever due")


# https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html, and what each needs according to
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
S3_ACTIONS = {
    "ListObjectsV2": "s3:ListBucket",
    "GetObject": "s3:GetObject",
    "GetObject of a range": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "DeleteObject": "s3:DeleteObject",
}


def s3_request(method: str, target: str, ranged: bool) -> str:
    """The name of the operation that a request with the bucket in its path asks for."""
    place = urllib.parse.urlsplit(target)
    query = urllib.parse.parse_qs(place.query, keep_blank_values=True)
    if "/" not in place.path.strip("/"):
        if (method, query.get("list-type")) == ("GET", ["2"]):
            return "ListObjectsV2"
        return "ListMultipartUploads" if method == "GET" and "uploads" in query else f"{method} {target}"
    of_an_upload = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}
    if "uploadId" in query:
        return of_an_upload[method]
    if "uploads" in query:
        return "CreateMultipartUpload"
    get = "GetObject of a range" if ranged else "GetObject"
    named = {"GET": get, "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
    return named.get(method, f"{method} {target}")


def run_into(cut: PowerCut, command: list[str], environment: dict[str, str]) -> int:
    """The exit code of a program whose storage, at AWS_ENDPOINT_URL, is behind the cut; -9 once it struck."""
    upstream = environment["AWS_ENDPOINT_URL"]
    with tempfile.TemporaryDirectory() as home, proxy(upstream, cut) as storage:
        environment = {**environment, "AWS_ENDPOINT_URL": storage, "HOME": home, "TMPDIR": home}
        with subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.DEVNULL) as victim:
            cut.victim = victim
            return victim.wait()


def owner_of_port(port: int) -> int:
    """The process whose end of a TCP connection on loopback has this port (Linux)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(line[9] for line in lines if int(line[1].rpartition(":")[2], 16) == port)
    for process in filter(str.isdigit, os.listdir("/proc")):
        if f"socket:[{inode}]" in open_files(process):
            return int(process)
    raise ProcessLookupError(f"nobody has port {port}")


def open_files(process: str) -> list[str]:
    """What the descriptors of a process lead to; none of a process that has ended or belongs to somebody else."""
    descriptors = f"/proc/{process}/fd"
    targets = []
    with suppress(OSError):
        for descriptor in os.listdir(descriptors):
            with suppress(FileNotFoundError):  # It was closed meanwhile.
                targets.append(os.readlink(f"{descriptors}/{descriptor}"))
    return targets


@contextmanager
def proxy(upstream: str, cut: PowerCut | Recorder, kill_client: bool = False) -> Iterator[str]:
    """A proxy on loopback in front of `upstream`; its address. With `kill_client` the cut kills whichever process of this
    machine sent the request."""
    place = urllib.parse.urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            due = cut.is_due(self.command, self.path, self.headers)
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
            try:
                self.wfile.write(content)
            except ConnectionError:  # a client that broke off, as one does whose upload is of no use any more
                self.close_connection = True

        def die(self) -> None:
            if kill_client:
                os.kill(owner_of_port(self.client_address[1]), signal.SIGKILL)
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
