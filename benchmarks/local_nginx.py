"""An nginx of its own in front of servers of this machine, on a free loopback port, gone at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_STARTS_WITHIN_S = 60


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
        folder, port = Path(name), _free_port()
        folder.chmod(0o755)  # its workers are another user's where root starts it
        (folder / "nginx.conf").write_text(_configuration(folder, port, ports))
        with subprocess.Popen([program, "-p", name, "-c", name + "/nginx.conf"]) as process:
            try:
                _wait_for(port, process)
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


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise NoProxy("nginx did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
