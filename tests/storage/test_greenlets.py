"""The store under gevent, as gunicorn's workers run it."""

import os
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE_S


def test_greenlets_go_on_while_one_waits_for_the_store(url):
    command = [sys.executable, Path(__file__).with_name("greenlets.py"), url]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert (done.stdout, done.stderr) == ("went on, busy; went on, busy", "")
