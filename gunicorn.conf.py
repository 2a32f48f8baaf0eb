"""How gunicorn serves the application. Everything that a deployment may change is a SERVICE_ setting."""

import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from gunicorn.http import wsgi

from service.settings import CLOSED, from_environment, is_loopback
from service.web.logs import logging_config
from service.web.worker import hold_signals, release_signals

_settings = from_environment(os.environ)

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
logconfig_dict = logging_config(_settings.log_level)


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


def _check_listeners(server: Any) -> None:
    """Ends the start where others reach the server and it was not told that they may; says so where it was.

    The sockets themselves are asked, since `--bind` and inherited sockets go past the settings. Who reaches a
    Unix socket is a matter of the rights on its file.
    """
    names = [listener.getsockname() for listener in server.LISTENERS] or server.address
    if all(is_loopback(name[0]) for name in names if isinstance(name, tuple)):
        return
    if not _settings.open:
        sys.exit(f"error: {CLOSED}")
    note = "There is no access control: whoever reaches this service may read and write all that it stores."
    logging.getLogger("service.start").warning({"event": "open", "note": note})


def pre_fork(_server: object, _worker: object) -> None:
    """Holds signals back: from the master until it has forked, from the worker until it can act on them."""
    hold_signals()


def worker_exit(_server: object, _worker: object) -> None:
    """Lets the interpreter of a worker take down everything in its usual order."""
    gc.unfreeze()


def pre_request(_worker: object, _request: object) -> None:
    """Replaces gunicorn's own hook, which writes the path of each request to the log at level DEBUG."""


wsgi.SERVER = "service"  # the Server header names no product and no version
