"""HTTP servers of the tests on the loopback address, for what the service asks others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler
from threading import Thread


class QuietHandler(BaseHTTPRequestHandler):
    """Answers requests, and writes nothing of them to the console."""

    def body(self) -> bytes:
        """Returns what was sent."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def tell(self, body: bytes, status: int = 200) -> None:
        """Sends an answer with its length."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(handler: Callable[..., BaseRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """Runs a server on a free port while the block runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
