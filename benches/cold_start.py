"""How long a container takes from the start of the process to its first poll of the Lambda runtime API: `python benches/cold_start.py BINARY`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RUNS = 21


def cold_starts(binary: Path) -> tuple[list[float], list[float]]:
    """The milliseconds to the first poll and the MiB resident then, of each start."""
    polled = threading.Event()

    class Runtime(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            polled.set()
            time.sleep(0.2)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = {"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}
    environment = {**os.environ, **names, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}"}
    times, memory = [], []
    for _ in range(RUNS):
        polled.clear()
        begun = time.perf_counter()
        process = subprocess.Popen([binary], env=environment, stderr=subprocess.DEVNULL)
        if not polled.wait(10):
            process.kill()
            raise RuntimeError(f"{binary} did not poll the runtime API within 10 s")
        times.append((time.perf_counter() - begun) * 1000)
        status = Path(f"/proc/{process.pid}/status").read_text()
        memory.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
        process.kill()
        process.wait()
    server.shutdown()
    return times, memory


def main() -> None:
    binary = Path(sys.argv[1]).resolve()
    times, memory = cold_starts(binary)
    spread = f"least {min(times):.1f} ms, most {max(times):.1f} ms over {RUNS} starts"
    print(f"start to first poll: median {statistics.median(times):.1f} ms, {spread}")
    print(f"resident memory then: median {statistics.median(memory):.1f} MiB; binary {os.path.getsize(binary) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
