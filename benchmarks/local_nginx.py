"""An nginx of its own in front of servers of this machine, on a free loopback port, gone at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.http import free_port, has_started

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class NoProxy(Exception):
    """nginx is not on this machine, or does not start; the text says what would help."""


@contextmanager
def proxy(ports: Sequence[int]) -> Iterator[int]:
    """Runs an nginx that sends requests to servers on these ports in turn; gives its own port.

    Raises:
        NoProxy: it is missing, or does not start.
    """
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise NoProxy("nginx is not on this machine (on Debian: apt-get install nginx)")
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)  # its workers are another user's where root starts it
        (folder / "nginx.conf").write_text(_configuration(folder, port, ports))
        with subprocess.Popen([program, "-p", name, "-c", name + "/nginx.conf"]) as process:
            try:
                if not has_started(port, process):
                    raise NoProxy("nginx did not start")
                yield port
            finally:
                process.terminate()


def _configuration(folder: Path, port: int, ports: Sequence[int]) -> str:
    servers = "".join(f"server 127.0.0.1:{behind}; " for behind in ports)
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in _TEMPORARY)
    return (
        f"pid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}"
        f"upstream services {{ {servers}keepalive 64; }}\n"
        f"server {{\nlisten 127.0.0.1:{port};\nclient_max_body_size 1m;\nclient_body_buffer_size 1m;\n"
        "location / {\nproxy_pass http://services;\nproxy_http_version 1.1;\n"
        'proxy_set_header Connection "";\nproxy_set_header Host $host;\n}\n}\n}\n'
    )
