"""The gunicorn worker: greenlets, a deadline for every request, errors as OperationOutcome.

What gunicorn refuses itself (a bad request line, too many headers) never reaches the application;
here it leaves as an OperationOutcome too, and nothing of it is logged but the kind of fault.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from gevent import Timeout
from gunicorn import util
from gunicorn.workers.ggevent import GeventWorker

from service.settings import from_environment
from service.web.unparsed import raw_response

_LOG = logging.getLogger("service.worker")


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn carries no type hints
    """A gevent worker in which no client can hold a request open for ever."""

    def init_process(self) -> None:
        """Reads the deadline once, in the worker."""
        self._deadline_s = from_environment(os.environ).request_timeout_s
        super().init_process()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """Serves one request; a sender or reader slower than the deadline loses its connection."""
        deadline = Timeout.start_new(self._deadline_s)
        try:
            return super().handle_request(listener_name, req, sock, addr)
        except Timeout as expired:
            if expired is not deadline:
                raise
            _LOG.warning({"event": "deadline"})
            raise StopIteration from None
        finally:
            deadline.close()

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: BaseException) -> None:
        """Answers what gunicorn could not read, or the application's own breakdown."""
        _LOG.warning({"event": "refused", "kind": type(exc).__name__})
        util.write_nonblock(client, raw_response(exc))
