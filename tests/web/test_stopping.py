"""The real server is told to stop: it says so first, and leaves nobody without an answer; check PX03."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from gunicorn_server import answer_from, get, post, serving, started, until
from patience import PATIENCE_S

HALF, REST = post(b'{"half":', "Content-Length: 10"), b"1}"


def is_not_ready(server):
    return server.ask(get("/readyz")).status == 503


def is_deaf(server):
    try:
        server.ask(get("/healthz"))
    except (OSError, EOFError):
        return True
    return False


def has_its_handlers(worker):
    """Whether a worker catches SIGABRT, the last handler that it installs before it serves."""
    return catches(worker, signal.SIGABRT)


def catches(process, number):
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (number - 1) & 1


def test_a_server_that_is_told_to_stop_says_so_and_goes_on_serving_for_its_drain_time():
    """PX03: readiness fails first; a second TERM changes nothing."""
    with (
        serving(WORKERS="2", DRAIN_S="600", KEEPALIVE_S="3", REQUEST_TIMEOUT_S="600") as server,
        server.connect() as running,
    ):
        running.sendall(HALF)
        assert server.ask(get("/healthz")).headers["connection"] == "keep-alive"
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: all(is_not_ready(server) for _ in range(20)))
        assert server.ask(get("/readyz")).document == {"status": "stopping"}
        with server.connect() as unused:  # closed after KEEPALIVE_S; who had stopped would be gone
            assert unused.recv(1) == b""
        assert server.ask(get("/healthz")).status == 200
        assert server.ask(post(b"{}")).status == 200
        running.sendall(REST)
        assert answer_from(running).status == 200
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0


def test_a_connection_that_is_used_while_the_server_drains_is_the_last_of_its_client():
    """PX03: whoever keeps connections open learns that it has to look elsewhere."""
    with serving(WORKERS="1", DRAIN_S="600", KEEPALIVE_S="600") as server, server.connect() as kept:
        kept.sendall(get("/healthz"))
        assert answer_from(kept).headers["connection"] == "keep-alive"
        server.process.send_signal(signal.SIGTERM)
        until(lambda: is_not_ready(server))
        kept.sendall(get("/healthz"))
        assert answer_from(kept).headers["connection"] == "close"
        assert kept.recv(1) == b""
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0


def test_a_request_that_runs_longer_than_the_drain_time_is_finished():
    """PX03."""
    longest = {"REQUEST_TIMEOUT_S": "600", "GRACEFUL_TIMEOUT_S": "600"}
    with serving(WORKERS="2", DRAIN_S="1", **longest) as server, server.connect() as running:
        running.sendall(HALF)
        assert server.ask(get("/healthz")).status == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: is_deaf(server))
        running.sendall(REST)
        assert answer_from(running).status == 200
        assert server.process.wait(PATIENCE_S) == 0


def test_a_connection_on_which_nothing_runs_does_not_keep_the_server():
    """PX03: neither one that has been answered nor one that was never used."""
    with (
        serving(WORKERS="1", KEEPALIVE_S="600") as server,
        server.connect() as kept,
        server.connect() as unused,
    ):
        kept.sendall(get("/healthz"))
        assert answer_from(kept).headers["connection"] == "keep-alive"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        assert (kept.recv(1), unused.recv(1)) == (b"", b"")
    assert "error" not in "".join(server.log).replace("gunicorn.error", "").lower()


def test_a_request_that_never_ends_does_not_keep_the_server_for_ever():
    """PX03: the time for running requests comes after the drain time, and then it is over."""
    with serving(WORKERS="1", DRAIN_S="1", GRACEFUL_TIMEOUT_S="1") as server, server.connect() as running:
        running.sendall(HALF)
        assert server.ask(get("/healthz")).status == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        assert running.recv(1) == b""


def test_the_time_to_drain_does_not_count_as_time_to_finish():
    """PX03: whoever drains is not killed when only the time for running requests is over."""
    with serving(WORKERS="1", DRAIN_S="600", GRACEFUL_TIMEOUT_S="1") as server:
        assert server.ask(get("/healthz")).status == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: is_not_ready(server))
        later = time.monotonic() + 4
        until(lambda: is_not_ready(server) and time.monotonic() > later)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0


def test_a_worker_that_is_told_to_stop_while_it_answers_keeps_what_the_answer_promises():
    """PX03: the connection that it calls kept is open for one more request."""
    app = "fakes:told_to_stop_while_it_answers()"
    with serving(app, WORKERS="1", DRAIN_S="600", KEEPALIVE_S="600") as server, server.connect() as kept:
        kept.sendall(post(b"{}"))
        assert answer_from(kept).headers["connection"] == "keep-alive"
        kept.sendall(get("/readyz"))
        answer = answer_from(kept)
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0


def test_connections_that_are_opened_in_the_last_moments_do_not_keep_the_server():
    """PX03: nor does it wait for one that never asks until the connection would expire."""
    with serving(WORKERS="1", KEEPALIVE_S="600", GRACEFUL_TIMEOUT_S="600") as server, ExitStack() as stack:
        assert server.ask(get("/healthz")).status == 200
        server.process.send_signal(signal.SIGTERM)
        with suppress(OSError):  # it listens no more
            until(lambda: stack.enter_context(server.connect()) and any(is_deaf(server) for _ in range(20)))
        assert server.process.wait(PATIENCE_S) == 0


def test_a_server_is_stopped_while_it_loads():
    """PX03: by a handler, for the first process of a container does not end by a signal without one."""
    with started("fakes:told_to_stop_while_it_loads()") as process:
        assert process.wait(PATIENCE_S) == 0


def test_a_server_is_stopped_while_it_starts():
    """PX03: a worker that has not begun has nobody to leave without an answer."""
    with serving(WORKERS="2", DRAIN_S="600") as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0


def test_a_worker_that_is_told_to_stop_as_soon_as_it_is_forked_stops():
    """PX03: it has no handlers yet; another one takes its place."""
    with serving("fakes:told_to_stop_when_forked()", WORKERS="1", DRAIN_S="600") as server:
        until(lambda: len(server.workers()) > 1)


def test_a_server_that_nobody_has_connected_to_does_not_drain():
    """PX03: nobody has heard that it is ready."""
    with serving(WORKERS="2", DRAIN_S="600") as server:
        until(lambda: len(server.workers()) == 2 and all(map(has_its_handlers, server.workers())))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("unshare"), reason="a namespace of processes needs root"
)
def test_the_first_process_of_a_container_ends_by_the_signal_that_comes_while_it_starts():
    """The kernel drops a signal to process 1 for which it has no handler."""
    command = ["unshare", "--fork", "--pid", sys.executable, "-m", "service", "check", "--all"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as outside:
        children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")
        until(children.read_text)
        first = int(children.read_text())
        until(lambda: catches(first, signal.SIGTERM))
        os.kill(first, signal.SIGTERM)
        assert outside.wait(PATIENCE_S) == 128 + signal.SIGTERM
