"""Runs MiniStack, a local emulation of AWS, on a free loopback port, and never longer than who asked for it.

    emulator.py serve             prints the endpoint, then serves until standard input ends
    emulator.py run -- COMMAND    runs COMMAND with CDC_TEST_S3_ENDPOINT set, and exits with its code

Run it with the Python of the virtual environment that MiniStack is installed in.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

VARIABLE = "CDC_TEST_S3_ENDPOINT"
START_TIMEOUT_S = 60
STARTS = 3


def main(arguments):
    # A terminated supervisor must still stop what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments == ["serve"]:
        return supervise(serve)
    if arguments[:2] == ["run", "--"] and len(arguments) > 2:
        return supervise(lambda endpoint: run(endpoint, arguments[2:]))
    print(__doc__, file=sys.stderr)
    return 2


def supervise(use):
    process, endpoint = start()
    try:
        return use(endpoint)
    finally:
        stop(process)


def serve(endpoint):
    print(endpoint, flush=True)
    while sys.stdin.buffer.read(4096):
        pass
    return 0


def run(endpoint, command):
    return subprocess.run(command, env={**os.environ, VARIABLE: endpoint}, check=False).returncode


def start():
    """A free port may be taken by somebody else before MiniStack binds it: then it is another one's turn."""
    for _ in range(STARTS):
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=environment(port),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        endpoint = f"http://127.0.0.1:{port}"
        if healthy(process, endpoint):
            return process, endpoint
        stop(process)
    sys.exit("emulator.py: MiniStack did not become healthy; try it by hand: python -m ministack")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(port):
    """Loopback only, and none of the listeners that bind all interfaces by default."""
    endpoint = f"http://127.0.0.1:{port}"
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "AWS_ENDPOINT_URL": endpoint}
    settings |= {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "LOG_LEVEL": "ERROR"}
    settings |= {"PERSIST_STATE": "0", "S3_PERSIST": "0"}
    return {**os.environ, **settings}


def die_with_parent():
    """Where the kernel offers it (PR_SET_PDEATHSIG), so that not even a killed supervisor leaves an emulator."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def healthy(process, endpoint):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with opener.open(f"{endpoint}/_ministack/health", timeout=2) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False


def stop(process):
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
