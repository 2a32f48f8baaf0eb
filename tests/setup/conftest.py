"""A bare Debian, made once per run: a newcomer's machine, and the base of the image.

It is Debian 12, or the release that the variable DEBIAN names (`DEBIAN=trixie`).
All that is mounted is mounted in a namespace of its own, which ends with the command that needed it.
"""

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from patience import LONG_PATIENCE_S

RELEASE = os.environ.get("DEBIAN", "bookworm")
TOOLS = ("debootstrap", "buildah")
APART = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
LENT = ("etc/apt", "etc/hosts", "etc/resolv.conf", "usr/share/keyrings", "usr/local/share/ca-certificates")
"""How this machine reaches its package registries, and whom it trusts."""


@dataclass(frozen=True)
class Bare:
    """Debian's minimal base: the folder where it stands, and the same as an archive that stays as it was."""

    root: Path
    archive: Path


@dataclass(frozen=True)
class Newcomer:
    """A machine with python3, git, curl and a clone of what is committed here, seen from inside."""

    root: Path

    def run(self, script: str, patience_s: float = LONG_PATIENCE_S) -> str:
        """Runs the script in the clone and returns what it printed; fails where the script fails."""
        command = [*APART, "sh", "-ec", self._ENTER, "sh", self.root, script]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", "HOME": "/root", **proxies()}
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=False, timeout=patience_s
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    _ENTER = """
        mount --bind "$1" "$1" # a root that is mounted: commands inside have mounts of their own
        cd "$1"
        mount -t proc proc "$1/proc"
        mount -t tmpfs tmpfs "$1/dev/shm"
        exec chroot "$1" sh -ec "cd /project; $2"
    """


@dataclass(frozen=True)
class Buildah:
    """Builds and runs images without an engine; all that it keeps is in one folder."""

    folder: Path

    def command(self, *arguments: str | Path) -> list[str | Path]:
        places = ("--root", self.folder / "storage", "--runroot", self.folder / "run")
        return [*APART, "--mount-proc", "buildah", *places, *arguments]

    def environment(self) -> dict[str, str]:
        own = {
            "STORAGE_DRIVER": "vfs",
            "TMPDIR": self.folder,
            "CONTAINERS_CONF": self.folder / "containers.conf",
        }
        return {**os.environ, **{name: str(value) for name, value in own.items()}}

    def run(self, *arguments: str | Path) -> str:
        """Returns what the command printed; fails where it fails."""
        command = self.command(*arguments)
        done = subprocess.run(
            command,
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=LONG_PATIENCE_S,
        )
        assert done.returncode == 0, arguments
        return done.stdout.strip()


@pytest.fixture(scope="session")
def tools() -> None:
    """Skips, and says so, where no Debian can be made: that needs root and two of Debian's packages."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or (missing and shutil.which("apt-get") is None):
        pytest.skip("NO BARE MACHINE AND NO IMAGE ARE TRIED: that needs root on Debian")
    if missing:
        pytest.fail(f"not on this machine, scripts/test installs it where CI=true: {', '.join(missing)}")


@pytest.fixture(scope="session")
def workshop(tools: None) -> Iterator[Path]:
    """A folder on a file system that may hold devices, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="bare-debian-", dir="/var/tmp"))
    try:
        yield folder
    finally:
        remove(folder)


@pytest.fixture(scope="session")
def bare(workshop: Path) -> Bare:
    made = Bare(workshop / "root", workshop / "root.tar")
    subprocess.run([*APART, "debootstrap", "--variant=minbase", RELEASE, made.root, mirror()], check=True)
    left_out = [f"--exclude=./{name}/*" for name in ("dev", "proc", "sys", "var/cache/apt/archives")]
    subprocess.run(["tar", "-C", made.root, *left_out, "-cf", made.archive, "."], check=True)
    return made


@pytest.fixture(scope="session")
def pip_conf(workshop: Path) -> Path:
    path = workshop / "pip.conf"
    path.write_text(pip_settings())
    return path


@pytest.fixture(scope="session")
def newcomer(bare: Bare, pip_conf: Path, root: Path) -> Newcomer:
    for name in LENT:
        lend(Path("/", name), bare.root / name)
    for sources in (bare.root / "etc/apt").rglob("*"):
        if sources.suffix in (".list", ".sources"):
            sources.write_text(sources.read_text().replace(own_release(), RELEASE))
    shutil.copy(pip_conf, bare.root / "etc/pip.conf")
    clone = ["git", "clone", "--quiet", "--no-hardlinks", root, bare.root / "project"]
    subprocess.run(clone, check=True)
    made = Newcomer(bare.root)
    made.run(
        "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq;"
        " apt-get install -y -qq --no-install-recommends python3 git curl ca-certificates"
    )
    return made


@pytest.fixture(scope="session")
def buildah(workshop: Path) -> Buildah:
    """Its processes get the limits of this one: higher ones, which it would choose, not everybody may set."""
    folder = workshop / "buildah"
    folder.mkdir()
    limits = {"nproc": resource.RLIMIT_NPROC, "nofile": resource.RLIMIT_NOFILE}
    given = ("{}={}:{}".format(name, *resource.getrlimit(limit)) for name, limit in limits.items())
    (folder / "containers.conf").write_text(f"[containers]\ndefault_ulimits = {json.dumps([*given])}\n")
    return Buildah(folder)


@pytest.fixture(scope="session")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def mirror() -> str:
    """Returns the address from which this machine has its own Debian packages."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0]


def own_release() -> str:
    """Returns the name of this machine's Debian."""
    return re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)[1]


def pip_settings() -> str:
    """Returns what pip is told on this machine, by files or by the environment, as one file."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    pairs = re.findall(r"^[^.]+\.([\w-]+)='(.*)'$", listed, re.MULTILINE)
    settings = dict(reversed(pairs))  # pip lists the environment first, and it is stronger
    settings.pop("find-links", None)  # a folder of this machine
    settings["cert"] = str(AUTHORITIES)
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


def proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def lend(source: Path, target: Path) -> None:
    """Copies a file or a folder; what was at the target is replaced."""
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        shutil.copy(source, target)


def remove(folder: Path) -> None:
    """Removes the folder, but nothing that is mounted below it."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed(mounted):
        if Path(place).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", place], check=True)
    shutil.rmtree(folder)


@pytest.fixture(name="remove")
def _remove(tools: None) -> Callable[[Path], None]:
    return remove
