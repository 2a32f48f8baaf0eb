"""How long tests wait for another process before they give up: the end of waiting, not a goal.

All tests may run at once on two busy cores, where what takes a second takes a minute.
"""

PATIENCE_S = 300
"""For one answer, or until a server has started or stopped."""

LONG_PATIENCE_S = 1500
"""For a tool that judges many bodies, and for an installation."""
