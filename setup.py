"""Puts into a wheel what stands beside the package: questionnaires, mappings, how gunicorn is configured."""

from pathlib import Path
from shutil import copy, copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
FOLDERS = ("questionnaires", "mappings")


class WithProgram(build_py):
    """Copies it below the package, where `service.settings` looks for it."""

    def run(self) -> None:
        """Builds the package; an editable one finds everything where it is."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "service" / "program"
        for name in FOLDERS:
            copytree(ROOT / name, target / name, ignore=ignore_patterns("__pycache__", ".*"))
        copy(ROOT / "gunicorn.conf.py", target)


setup(cmdclass={"build_py": WithProgram})
