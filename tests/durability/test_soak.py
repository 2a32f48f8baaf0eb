"""A minute of benchmarks/soak.py, which says what must hold; its twenty minutes are a nightly target."""

import pytest

from benchmarks.soak import soak

A_BUSY_MACHINE_IS_NO_FAULT = {"STORE_TIMEOUT_S": "60", "REQUEST_TIMEOUT_S": "600", "KEEPALIVE_S": "600"}


@pytest.mark.slow
def test_workers_that_are_killed_under_load_cost_nobody_else_anything(sqlite_url):
    report = soak(sqlite_url, seconds=60, every=10, **A_BUSY_MACHINE_IS_NO_FAULT)
    assert report.faults == []
