"""The programs in Java of tests/clients/hapi: built where they have changed, and how to run one."""

import hashlib
import shutil
import subprocess
from pathlib import Path

HAPI = Path(__file__).resolve().parents[1] / "clients" / "hapi"
_BUILD = ["mvn", "-q", "-B", "--strict-checksums", "compiler:compile", "dependency:copy-dependencies"]


def missing_for_hapi() -> str:
    """Returns what is not on this machine and how to get it, or an empty text."""
    missing = [program for program in ("mvn", "javac", "java") if shutil.which(program) is None]
    debian = "Debian: apt-get install maven default-jdk-headless"
    return f"{missing[0]} IS NOT HERE: NOTHING IS TRIED WITH HAPI ({debian})" if missing else ""


def hapi_command() -> list[str]:
    """Returns the command that runs a class, which is to follow; builds them all where they have changed.

    No name of a host is known to the program: nothing is fetched while it judges.
    """
    classes, stamp = HAPI / "target/classes", HAPI / "target/sources.sha256"
    sources = [HAPI / "pom.xml", *sorted((HAPI / "src").rglob("*.java"))]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    if not stamp.is_file() or stamp.read_text() != state:
        subprocess.run(_BUILD, cwd=HAPI, check=True)
        stamp.write_text(state)
    offline = HAPI / "target/no-hosts"
    offline.touch()
    return ["java", f"-Djdk.net.hosts.file={offline}", "-cp", f"{classes}:{HAPI}/target/dependency/*"]
