"""How gunicorn serves the application. Everything that a deployment may change is a SERVICE_ setting."""

import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http import wsgi

from service.auth.ehrs import names_access
from service.reloading import start_watching
from service.settings import CLOSED, FOR_AUTHORS, from_environment, is_loopback
from service.web.logs import logging_config
from service.web.worker import hold_signals, release_signals

_settings = from_environment(os.environ)

# What the start makes is there to stay: until it is made, nothing is looked for that could be thrown away.
gc.disable()

# The master installs its handlers after it has loaded the application. Without a handler the first process of
# a container does not end by the signal. A master that reads this file again keeps its own handlers.
if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))

wsgi_app = "service.app:from_environment()"
bind = _settings.address
workers = _settings.workers
preload_app = True  # guidance is read and checked once, before the first worker: a fault stops the start

# Half-sent bodies stop sync workers, and gthread workers once each thread has one; greenlets keep serving.
worker_class = "service.web.worker.Worker"
worker_connections = _settings.connections
keepalive = _settings.keepalive_s
# The master counts from the signal on: on top come the time in which workers drain, and the second in which
# they notice that it is over.
graceful_timeout = _settings.drain_s + 1 + _settings.graceful_timeout_s
timeout = 60  # a worker that answers no heartbeat for so long is replaced

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = ""  # nothing is taken from X-Forwarded headers: links come from SERVICE_BASE_URL
http_parser = "python"
control_socket_disable = True
# The heartbeat file goes to memory, so that the root file system may be read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a name of the system

# No line says which thread or source line wrote it: not looking that up halves the cost of logging.
logging._srcfile = None  # noqa: SLF001 - the switch that Python's manual names
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
accesslog = None  # the application logs each request by its route; gunicorn would log paths and queries


class _Log(Logger):  # type: ignore[misc] # gunicorn has no type hints
    """gunicorn's log, without what it makes ready of each request for a line that nobody writes.

    At DEBUG it would also say which byte of somebody's Basic credentials it could not read, and repeat the
    whole of a request that ended early.
    """

    def access(self, *_: object) -> None:
        """Does nothing."""

    def debug(self, msg: str, *args: object, **more: Any) -> None:
        """Writes a line that says of what kind a fault is, since its text repeats what was sent."""
        kinds = (type(arg).__name__ if isinstance(arg, Exception) else arg for arg in args)
        super().debug(msg, *kinds, **more)


logger_class = _Log
logconfig_dict = logging_config(_settings.log_level)

# Each worker counts in files of its own, in memory where there is such a folder. A master that reads this
# file again keeps its folder; one that takes over from another (USR2) makes its own.
_METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"
_OWN_METRICS = f"service-metrics-{os.getpid()}-"
_metrics_dir = Path(os.environ.get(_METRICS_DIR, ""))
if _settings.metrics and not _metrics_dir.name.startswith(_OWN_METRICS):
    os.environ[_METRICS_DIR] = tempfile.mkdtemp(prefix=_OWN_METRICS, dir=worker_tmp_dir)


def on_starting(_server: object) -> None:
    """Has the master hear signals again as soon as it has forked a worker."""
    master = os.getpid()
    os.register_at_fork(after_in_parent=lambda: release_signals() if os.getpid() == master else None)


def when_ready(server: Any) -> None:
    """Looks at where the server listens, and gets ready to fork workers.

    The guidance is set apart from garbage collection: no collection then walks through it, and its memory
    stays shared between the workers.
    """
    _check_listeners(server)
    gc.collect()
    gc.freeze()
    gc.enable()
    if _settings.reload:
        start_watching(server.app.wsgi().edition)


def on_reload(server: Any) -> None:
    """Has the workers that start now serve the files as they are now, where that was wanted (HUP).

    This file has been read again by then, and so has what it says of garbage collection.
    """
    gc.enable()
    if _settings.reload:
        from service.app import reloaded  # only then: whoever stops a server that starts need not wait for it

        server.app.callable = reloaded(server.app.wsgi())
        gc.unfreeze()
        gc.collect()
        gc.freeze()


def _check_listeners(server: Any) -> None:
    """Ends the start where others reach the server without a token and it was not told that they may.

    Where it was, the log says so.

    The sockets themselves are asked, since `--bind` and inherited sockets go past the settings. Who reaches a
    Unix socket is a matter of the rights on its file.
    """
    names = [listener.getsockname() for listener in server.LISTENERS] or server.address
    if all(is_loopback(name[0]) for name in names if isinstance(name, tuple)):
        return
    if _settings.reload:
        sys.exit(f"error: {FOR_AUTHORS}")
    if names_access(_settings.ehrs_file):
        return
    if not _settings.open:
        sys.exit(f"error: {CLOSED}")
    note = "There is no access control: whoever reaches this service may read and write all that it stores."
    logging.getLogger("service.start").warning({"event": "open", "note": note})


def pre_fork(_server: object, _worker: object) -> None:
    """Holds signals back: from the master until it has forked, from the worker until it can act on them."""
    hold_signals()


def post_worker_init(worker: Any) -> None:
    """Has a worker that is ready counted among those that run, and make spans."""
    for name in ("metrics", "tracing"):
        watching = getattr(worker.wsgi, name, None)  # another application, as in benchmarks/, has neither
        if watching is not None:
            watching.begin_worker()


def child_exit(_server: object, worker: Any) -> None:
    """Takes a worker that has ended out of those that run; what it counted stays in the sums."""
    if _settings.metrics:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # it has no type hints


def on_exit(_server: object) -> None:
    """Removes the files of the metrics."""
    made = Path(os.environ.get(_METRICS_DIR, ""))
    if made.name.startswith(_OWN_METRICS):
        shutil.rmtree(made, ignore_errors=True)


def worker_exit(_server: object, worker: Any) -> None:
    """Does what was to be done after the answers, and lets the interpreter take down everything as usual."""
    audit = getattr(getattr(worker, "wsgi", None), "audit", None)
    if audit is not None:
        audit.trail.flush()
    shadow = getattr(getattr(worker, "wsgi", None), "shadow", None)
    if shadow is not None:
        shadow.settle()
    if _settings.reload:
        os._exit(0)  # the master waits for it before it hears of the next change
    gc.unfreeze()


def pre_request(_worker: object, _request: object) -> None:
    """Replaces gunicorn's own hook, which writes the path of each request to the log at level DEBUG."""


wsgi.SERVER = "service"  # the Server header names no product and no version
