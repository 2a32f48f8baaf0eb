"""`python -m service`."""

import os
import signal
import sys

if os.getpid() == 1:  # the first process of a container does not end by a signal that it does not handle
    signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))

from service.cli import main  # the import takes a second or two in which the signal may come

sys.exit(main(sys.argv[1:]))
