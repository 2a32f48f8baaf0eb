"""Pages of other sites: each server has an origin of its own, and serves what it is given."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from loopback_servers import QuietHandler, listening

_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@contextmanager
def site(
    pages: Mapping[str, str], host: str = "localhost", headers: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Serves texts by path while the block runs; gives the origin.

    Args:
        pages: may be filled in later. host: a name of this machine; another name is another site.
        headers: that every answer has.
    """

    class Pages(QuietHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = pages.get(path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", _TYPES["." + path.rpartition(".")[2]] if body else "text/plain")
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write((body or "").encode())

    with listening(Pages) as server:
        yield f"http://{host}:{server.server_port}"
