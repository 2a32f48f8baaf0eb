"""Programs in Java of the tests: built by Maven where they have changed, and how to run one."""

import hashlib
import shutil
import subprocess
from pathlib import Path

HAPI = Path(__file__).resolve().parents[1] / "clients" / "hapi"
_BUILD = ["mvn", "-q", "-B", "--strict-checksums", "compiler:compile", "dependency:copy-dependencies"]


def missing_for_java(loss: str) -> str:
    """Returns what is not on this machine, what is lost by that and how to get it, or an empty text."""
    missing = [program for program in ("mvn", "javac", "java") if shutil.which(program) is None]
    debian = "Debian: apt-get install maven default-jdk-headless"
    return f"{missing[0]} IS NOT HERE: {loss} ({debian})" if missing else ""


def class_path(folder: Path) -> str:
    """Returns the class path of the programs of a folder; builds them all where they have changed."""
    classes, stamp = folder / "target/classes", folder / "target/sources.sha256"
    sources = [folder / "pom.xml", *sorted((folder / "src").rglob("*.java"))]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    if not stamp.is_file() or stamp.read_text() != state:
        subprocess.run(_BUILD, cwd=folder, check=True)
        stamp.write_text(state)
    return f"{classes}:{folder}/target/dependency/*"


def missing_for_hapi() -> str:
    """Returns what HAPI's client and validator lack on this machine, or an empty text."""
    return missing_for_java("NOTHING IS TRIED WITH HAPI")


def hapi_command() -> list[str]:
    """Returns the command that runs a class of tests/clients/hapi, which is to follow.

    No name of a host is known to the program: nothing is fetched while it judges.
    """
    path = class_path(HAPI)
    offline = HAPI / "target/no-hosts"
    offline.touch()
    return ["java", f"-Djdk.net.hosts.file={offline}", "-cp", path]
