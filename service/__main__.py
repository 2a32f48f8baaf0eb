"""`python -m service`."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

if os.getpid() == 1:  # the first process of a container does not end by a signal that it does not handle
    signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))

try:
    # The command line imports what no server needs. Whatever is wrong with the settings it tells.
    if sys.argv[1:] == ["serve"]:
        from service.errors import StartupError
        from service.serve import serve

        with suppress(StartupError, OSError):
            serve()
    from service.cli import run  # the import takes a second or two in which the signal may come
except ModuleNotFoundError as missing:
    if (missing.name or "service").partition(".")[0] == "service":
        raise
    made = (Path(__file__).resolve().parent.parent / ".venv").exists()
    first = "" if made else "scripts/install makes the environment; then "
    expected = f"Expected: {first}.venv/bin/python -m service"
    sys.stderr.write(f"error: {missing.name} is not installed here. {expected}\n")
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(128 + signal.SIGINT)

run()
