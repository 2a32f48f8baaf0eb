"""A file in, a file out: in order, nothing lost, and the same bytes however often it was stopped."""

import errno
import gzip
import io
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import orjson
import pytest
from examples import examples
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from service import cli
from service.bulk import journal as journal_module
from service.bulk.journal import Journal
from service.bulk.pool import Pool, RangeScorer, Task
from service.bulk.progress import Progress
from service.bulk.ranges import ranges
from service.bulk.scorer import PRELIMINARY, REFUSED
from service.errors import Problem, StartupError

ENOUGH_S = 120


def input_of(records, count, seed=1):
    chance = random.Random(seed)
    chosen = [chance.choice(records) for _ in range(count)]
    return b"\n".join((*chosen[:3], b"", b" \r", *chosen[3:], records[0]))  # blank lines; no end of the last


def until(holds):
    """Waits until something holds; fails where it never does."""
    for _ in range(ENOUGH_S * 100):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it never came to that")


# How the input is cut.


@given(st.binary(max_size=200), st.integers(1, 40), st.integers(1, 60))
@example(b"", 1, 1)
@example(b"a" * 50 + b"\nb\nc\nd", 3, 2)
@example(b"\n" * 20, 5, 2)
def test_ranges_hold_every_line_once_with_its_number(data, size, most):
    def cut():
        left = [data]

        def read(number):
            chunk, left[0] = left[0][:number], left[0][number:]
            return chunk

        return list(ranges(read, most, size))

    found = cut()
    assert cut() == found
    assert [one.ordinal for one in found] == list(range(len(found)))
    lines, line = data.split(b"\n"), 1
    if not lines[-1]:
        lines.pop()
    for one in found:
        assert one.first_line == line
        own = lines[line - 1 : line - 1 + one.lines]
        if one.digest:
            assert len(own) == 1
            assert len(own[0]) > most
            assert one.is_blank == (not own[0].strip(b" \t\r\n"))
        else:
            assert one.data.split(b"\n")[: one.lines] == own
            assert len(one.data) <= most + 2 * size
        line += one.lines
    assert line == len(lines) + 1


# What comes out.


@pytest.mark.parametrize("workers", [1, 3])
def test_the_output_has_a_line_for_each_record_in_order(workers, records, expected, run, tmp_path):
    data = input_of(records, 60)
    (tmp_path / "in.ndjson").write_bytes(data)
    ended, _ = run(tmp_path / "in.ndjson", workers=workers)
    assert (tmp_path / "out.ndjson").read_bytes() == expected(data)
    assert ended.lines == 63
    assert ended.report.records == 61
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.ndjson", "out.ndjson"]


LINES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [b"", b"\r", b" \t", b"{}", b"[]", b"\xef\xbb\xbf", b"\x00", b"\xef\xbb\xbf{}", b"x" * 300]
    ),
    st.integers(0, 8),
)


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(LINES, max_size=15),
    workers=st.integers(1, 3),
    end=st.sampled_from([b"\n", b"\r\n"]),
    is_ended=st.booleans(),
)
def test_any_bytes_give_one_line_for_each_line_that_is_not_blank(
    lines, workers, end, is_ended, records, scorer
):
    raws = [records[line] if isinstance(line, int) else line for line in lines]
    data = end.join(raws) + end * is_ended
    found = list(ranges(iter_reader(data), 250, 64))
    scoring = RangeScorer(scorer)
    with Pool(scoring, workers) as pool:
        done, given_ = {}, iter(found)
        for one in given_:
            while not pool.is_free:
                done |= {result.ordinal: result for result in pool.results(1.0)}
            pool.give(one)
        while pool.is_busy:
            done |= {result.ordinal: result for result in pool.results(1.0)}
    output = b"".join(done[ordinal].output for ordinal in range(len(found)))
    numbers = [number for number, raw in enumerate(data.split(b"\n"), 1) if raw.strip(b" \t\r\n")]
    results = output.splitlines()
    assert len(results) == len(numbers)
    for number, result in zip(numbers, results, strict=True):
        document = orjson.loads(result)
        assert document["resourceType"] in ("RiskAssessment", "OperationOutcome")
        if document["resourceType"] == "OperationOutcome":
            assert document["id"] == f"line-{number}"


def iter_reader(data):
    left = [data]

    def read(number):
        chunk, left[0] = left[0][:number], left[0][number:]
        return chunk

    return read


@pytest.mark.parametrize("range_bytes", [4096, 1 << 20])
def test_a_line_over_the_limit_is_refused_and_the_others_are_scored(
    range_bytes, records, options, expected, run, tmp_path
):
    long = b"[" * (options.most_bytes + 1)
    wide = records[1] + b" " * options.most_bytes  # the record itself would not be too long
    data = b"\n".join((records[0], long, wide, b" " * (options.most_bytes + 1), records[1], long * 3))
    (tmp_path / "in.ndjson").write_bytes(data)
    ended, _ = run(tmp_path / "in.ndjson", range_bytes=range_bytes)
    assert (tmp_path / "out.ndjson").read_bytes() == expected(data)
    assert dict(ended.report.problems) == {"body-size": 3}


@pytest.mark.parametrize("name", ["empty.ndjson", "empty.ndjson.gz"])
def test_an_empty_input_gives_an_output_without_lines(name, run, tmp_path):
    (tmp_path / "in.ndjson").write_bytes(b"\n\n")
    ended, told = run(tmp_path / "in.ndjson", name)
    written = (tmp_path / name).read_bytes()
    assert written[:2] == (b"\x1f\x8b" if name.endswith(".gz") else b"")  # no bytes at all are no gzip file
    assert plain(tmp_path / name) == b""
    assert ended.report.records == 0
    assert "0 records" in told


def compressed(name, data):
    if name.endswith(".gz"):
        return gzip.compress(data[:5000]) + gzip.compress(data[5000:])
    if name.endswith(".zst"):
        zstd = pytest.importorskip("backports.zstd", reason="backports.zstd is not installed")
        return zstd.compress(data[:5000]) + zstd.compress(data[5000:])
    return data


def plain(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        return pytest.importorskip("backports.zstd").decompress(data)
    return data


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("in.ndjson", "out.ndjson"),
        pytest.param("in.ndjson.gz", "out.NDJSON.GZ", marks=pytest.mark.slow),
        pytest.param("in.ndjson.zst", "out.ndjson.zst", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    source, output, records, expected, run, in_a_process, tmp_path
):
    if output.endswith(".zst"):
        pytest.importorskip("backports.zstd", reason="backports.zstd is not installed")
    data, chance = input_of(records, 80), random.Random(7)
    (tmp_path / source).write_bytes(compressed(source, data))
    whole = tmp_path / f"whole.{output}"
    run(tmp_path / source, whole.name, workers=1)
    part, journal = (tmp_path / f"{output}.{kind}" for kind in ("part", "journal"))
    for _ in range(4):
        before = part.stat().st_size if part.exists() else 0
        process = in_a_process(tmp_path / source, output)
        until(lambda before=before: part.exists() and part.stat().st_size > before)
        time.sleep(chance.random() / 50)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        if not journal.exists():
            break  # it was done before it could be killed
    else:
        assert not (tmp_path / output).exists()
        ended, _ = run(tmp_path / source, output)
        assert ended.report.records == 81
    assert (tmp_path / output).read_bytes() == whole.read_bytes()
    assert plain(whole.rename(tmp_path / output.lower())) == expected(data)


def test_what_is_done_already_is_not_done_again(
    records, expected, run, in_a_process, scorer, tmp_path, monkeypatch
):
    data = input_of(records, 100)
    (tmp_path / "in.ndjson").write_bytes(data)
    stop(in_a_process, tmp_path)
    sure = orjson.loads((tmp_path / "out.ndjson.journal").read_bytes())
    assert 0 < sure["lines"] < 100
    numbers = []
    done = RangeScorer.done

    def noted(self, task, begin=lambda _: None):
        with (tmp_path / "numbers").open("a") as file:
            file.write(f"{task.range.first_line}\n")
        return done(self, task, begin)

    monkeypatch.setattr(RangeScorer, "done", noted)
    ended, _ = run(tmp_path / "in.ndjson")
    numbers = [int(line) for line in (tmp_path / "numbers").read_text().split()]
    assert min(numbers) == sure["lines"] + 1
    assert len(numbers) == len(set(numbers))
    assert ended.report.records == 101
    assert (tmp_path / "out.ndjson").read_bytes() == expected(data)


def stop(in_a_process, tmp_path, number=signal.SIGTERM, **job):
    """Begins a run, and stops it once something is sure; returns its exit code."""
    process = in_a_process(tmp_path / "in.ndjson", workers=1, **job)
    journal = tmp_path / "out.ndjson.journal"
    until(lambda: journal.exists() and orjson.loads(journal.read_bytes())["lines"])
    os.kill(process, number)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_so_that_it_can_be_gone_on_with(
    number, records, expected, run, in_a_process, tmp_path
):
    data = input_of(records, 120)
    (tmp_path / "in.ndjson").write_bytes(data)
    before = signal.signal(number, signal.SIG_DFL)  # `nohup` and `&` hand on what they ignore
    try:
        assert stop(in_a_process, tmp_path, number) == 128 + number
    finally:
        signal.signal(number, before)
    assert not (tmp_path / "out.ndjson").exists()
    run(tmp_path / "in.ndjson")
    assert (tmp_path / "out.ndjson").read_bytes() == expected(data)


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_told_of_the_progress_is_what_is_done_not_what_is_read(
    begun, records, run, in_a_process, tmp_path, monkeypatch
):
    data, told = input_of(records, 120), []
    (tmp_path / "in.ndjson").write_bytes(data)
    if begun:
        stop(in_a_process, tmp_path)
    add, tell, done = Journal.add, Progress.tell, []
    if begun:
        done.append(orjson.loads((tmp_path / "out.ndjson.journal").read_bytes())["lines"])

    def added(journal, one, after=""):
        add(journal, one, after)
        done.append(one.lines)

    def noted(progress, position, lines):
        told.append((position, sum(done)))
        tell(progress, position, lines)

    monkeypatch.setattr(Journal, "add", added)
    monkeypatch.setattr(Progress, "tell", noted)
    run(tmp_path / "in.ndjson", workers=2, range_bytes=4096)
    ends = [0, *itertools.accumulate(len(line) + 1 for line in data.split(b"\n"))]
    assert len({position for position, _ in told}) > 2
    assert all(position <= ends[lines] + 2 * 4096 for position, lines in told)  # it is read by the range
    assert told[-1][0] == len(data)


def test_a_run_that_is_to_outlive_its_terminal_does(records, run, tmp_path, monkeypatch):
    (tmp_path / "in.ndjson").write_bytes(input_of(records, 3))
    begun = Pool.__enter__

    def hang_up(pool):
        os.kill(os.getpid(), signal.SIGHUP)
        return begun(pool)

    monkeypatch.setattr(Pool, "__enter__", hang_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        ended, _ = run(tmp_path / "in.ndjson")
        assert (ended.signal, ended.report.records) == (0, 4)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("output", ["out.ndjson", "out.ndjson.gz"])
@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_full_disk_is_told_with_the_file_and_the_same_command_goes_on(
    place, output, records, run, tmp_path, monkeypatch
):
    (tmp_path / "in.ndjson").write_bytes(input_of(records, 30))
    run(tmp_path / "in.ndjson", f"whole.{output}")
    written, write = itertools.count(), os.write

    def full(file, data):
        if next(written) < place:
            return write(file, data)
        write(file, data[:7])  # as much as there was room for
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(journal_module.os, "write", full)
        with pytest.raises(StartupError) as told:
            run(tmp_path / "in.ndjson", output, workers=1)
    text = "No space left on device. What is done is kept; with more space the same command goes on"
    assert told.value.faults == [f"{tmp_path / output}: {text}"]
    assert not (tmp_path / output).exists()
    run(tmp_path / "in.ndjson", output)
    assert (tmp_path / output).read_bytes() == (tmp_path / f"whole.{output}").read_bytes()


def test_only_so_much_is_held_while_the_first_range_is_not_done(run, tmp_path, monkeypatch):
    given = []

    class Slow(Pool):
        def give(self, found):
            given.append(found.ordinal)
            if given[-1] == 7:  # two processes, four ranges for each: no more may follow
                os.kill(os.getpid(), signal.SIGTERM)

        @property
        def is_free(self):
            return True

        @property
        def is_busy(self):
            return True

    monkeypatch.setattr("service.bulk.score.Pool", Slow)
    (tmp_path / "in.ndjson").write_bytes(b"{}\n" * 20_000)
    run(tmp_path / "in.ndjson")
    assert given == list(range(8))


# What a run that was begun cannot be gone on with.


def changed(path):
    def change(tmp_path, options):
        (tmp_path / path).write_bytes(b"x" + (tmp_path / path).read_bytes()[1:])
        return options

    return change


def longer(tmp_path, options):
    with (tmp_path / "in.ndjson").open("ab") as file:
        file.write(b"\n{}")
    return options


def guidance(tmp_path, options):
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "other.yaml").write_text("other")
    return options._replace(mappings_dir=str(folder))


def cut(tmp_path, options):
    os.truncate(tmp_path / "out.ndjson.part", 1)
    return options


def forget(tmp_path, options):
    (tmp_path / "out.ndjson.journal").unlink()
    return options


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed("in.ndjson"), "the input has changed since the run began"),
        (longer, "the input has another size"),
        (lambda tmp_path, options: options._replace(output="bundle"), "the options or settings have changed"),
        (guidance, "the guidance has changed"),
        (changed("out.ndjson.journal"), "it is no journal"),
        (cut, "a part of it is gone"),
        (forget, "nothing says what it is"),
    ],
)
def test_what_rests_on_something_else_is_not_gone_on_with(
    change, told, records, options, expected, run, in_a_process, tmp_path
):
    data = input_of(records, 100)
    (tmp_path / "in.ndjson").write_bytes(data)
    stop(in_a_process, tmp_path)
    scoring = change(tmp_path, options)
    with pytest.raises(StartupError) as refused:
        run(tmp_path / "in.ndjson", scoring=scoring)
    assert told in str(refused.value)
    assert "--restart" in str(refused.value)
    assert not (tmp_path / "out.ndjson").exists()
    run(tmp_path / "in.ndjson", restart=True)
    assert (tmp_path / "out.ndjson").read_bytes() == expected((tmp_path / "in.ndjson").read_bytes())


def test_standard_input_is_gone_on_with_where_it_is_the_same(
    records, expected, run, in_a_process, tmp_path, monkeypatch
):
    data, journal = input_of(records, 100), tmp_path / "out.ndjson.journal"

    def piped(sent):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(sent)))

    piped(data)
    process = in_a_process("-", workers=1)
    until(lambda: journal.exists() and orjson.loads(journal.read_bytes())["lines"])
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    piped(b"")
    with pytest.raises(StartupError, match="the input has become shorter"):
        run("-")
    piped(data)
    run("-")
    assert (tmp_path / "out.ndjson").read_bytes() == expected(data)


@pytest.mark.parametrize("command", [["score", "in.ndjson"], ["rescore"]])
def test_what_elsewhere_stands_for_standard_output_is_refused_and_no_file_of_that_name(
    command, tmp_path, monkeypatch, capsys, sqlite_url
):
    (tmp_path / "in.ndjson").write_bytes(b"{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVICE_STORE_URL", sqlite_url)
    assert cli.main([*command, "-"]) == 2
    assert "-: expected the name of a file: how far a run is stands in another one beside it" in (
        capsys.readouterr().err
    )
    assert not [*tmp_path.glob("-*")]


def test_an_output_that_is_there_is_kept(records, run, tmp_path):
    (tmp_path / "in.ndjson").write_bytes(records[0])
    (tmp_path / "out.ndjson").write_bytes(b"kept")
    with pytest.raises(StartupError, match="it is there already"):
        run(tmp_path / "in.ndjson")
    assert (tmp_path / "out.ndjson").read_bytes() == b"kept"
    run(tmp_path / "in.ndjson", restart=True)
    assert (tmp_path / "out.ndjson").read_bytes().startswith(b'{"resourceType":"RiskAssessment"')


def test_the_input_is_never_the_output(records, run, tmp_path):
    (tmp_path / "out.ndjson").write_bytes(records[0])
    (tmp_path / "in.ndjson").symlink_to(tmp_path / "out.ndjson")
    with pytest.raises(StartupError, match="expected another file than the input"):
        run(tmp_path / "in.ndjson", restart=True)
    assert (tmp_path / "out.ndjson").read_bytes() == records[0]


@pytest.mark.parametrize(
    ("source", "job"),
    [
        ("out.ndjson.part", {}),
        ("out.ndjson.journal", {}),
        ("out.ndjson.journal.new", {}),
        ("out.csv", {"table": "out.csv"}),
        ("out.csv.part", {"table": "out.csv"}),
        ("report.txt", {"folder": "."}),
        ("report.svg", {"folder": "."}),
    ],
)
def test_nothing_that_is_written_beside_the_output_is_the_input(source, job, records, run, tmp_path):
    (tmp_path / source).write_bytes(records[0])
    beside = {name: tmp_path / path for name, path in job.items()}
    with pytest.raises(StartupError, match="expected another file than the input"):
        run(tmp_path / source, restart=True, **beside)
    assert (tmp_path / source).read_bytes() == records[0]


def test_what_is_written_is_for_its_owner_alone_whatever_stood_there(records, run, tmp_path, monkeypatch):
    from service.bulk.journal import Journal

    (tmp_path / "in.ndjson").write_bytes(records[0])
    (tmp_path / "out.ndjson.part").touch(0o666)
    monkeypatch.setattr(Journal, "forget", lambda _: None)
    run(tmp_path / "in.ndjson", restart=True)
    written = [tmp_path / "out.ndjson", tmp_path / "out.ndjson.journal"]
    assert [path.stat().st_mode & 0o777 for path in written] == [0o600, 0o600]


def test_no_link_leads_what_is_written_elsewhere(records, run, tmp_path):
    (tmp_path / "in.ndjson").write_bytes(records[0])
    (tmp_path / "other").write_bytes(b"kept")
    for name in ("out.ndjson.part", "out.ndjson.journal.new"):
        (tmp_path / name).symlink_to(tmp_path / "other")
        with pytest.raises(OSError, match="symbolic link"):
            run(tmp_path / "in.ndjson", restart=True)
        (tmp_path / name).unlink()
    assert (tmp_path / "other").read_bytes() == b"kept"


def test_an_output_that_took_its_name_while_another_run_began_is_not_cut(records, run, tmp_path, monkeypatch):
    """The lock of the first run ends with it: then the file that was opened is its whole output."""
    (tmp_path / "in.ndjson").write_bytes(records[0])
    lock = journal_module.fcntl.lockf

    def locked(file, how):
        (tmp_path / "out.ndjson.part").replace(tmp_path / "out.ndjson")
        os.write(file, b"whole")
        lock(file, how)

    with monkeypatch.context() as patched:
        patched.setattr(journal_module.fcntl, "lockf", locked)
        with pytest.raises(StartupError, match="another run has just ended"):
            run(tmp_path / "in.ndjson")
    assert (tmp_path / "out.ndjson").read_bytes() == b"whole"


def test_two_runs_do_not_write_to_one_output(records, run, in_a_process, tmp_path):
    (tmp_path / "in.ndjson").write_bytes(input_of(records, 400))
    process = in_a_process(tmp_path / "in.ndjson", workers=1)
    journal = tmp_path / "out.ndjson.journal"
    until(lambda: journal.exists() and orjson.loads(journal.read_bytes())["lines"])
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(StartupError, match="another run writes to it"):
        run(tmp_path / "in.ndjson")
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_a_run_that_was_killed_at_its_very_end_only_gives_the_output_its_name(
    records, expected, run, tmp_path, monkeypatch
):
    from service.bulk.journal import Journal

    data = input_of(records, 20)
    (tmp_path / "in.ndjson").write_bytes(data)

    def killed(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "in.ndjson")
    assert (tmp_path / "out.ndjson.journal").exists()
    (tmp_path / "out.ndjson").rename(tmp_path / "kept")
    with pytest.raises(StartupError, match="it is gone"):
        run(tmp_path / "in.ndjson")
    (tmp_path / "kept").rename(tmp_path / "out.ndjson")
    ended, told = run(tmp_path / "in.ndjson")
    assert ended.report.records == 21
    assert "21 records" in told
    assert (tmp_path / "out.ndjson").read_bytes() == expected(data)
    assert not (tmp_path / "out.ndjson.journal").exists()


@pytest.mark.parametrize("name", ["in.ndjson.gz", "in.ndjson.zst"])
def test_an_input_that_is_no_compressed_file_or_cut_is_told(name, records, run, tmp_path):
    whole = compressed(name, input_of(records, 20))
    for data in (b"no such file", whole[:-20], b""):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(StartupError, match="data that are whole"):
            run(tmp_path / name, restart=True)


@pytest.mark.parametrize(("source", "output"), [("in.ndjson", "out.ndjson.zst"), ("in.zst", "out.ndjson")])
def test_without_its_package_zstandard_is_refused_before_anything_is_done(
    source, output, run, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "backports", None)
    (tmp_path / source).write_bytes(b"{}")
    with pytest.raises(StartupError, match=r"needs the Python package backports\.zstd"):
        run(tmp_path / source, output)
    assert [path.name for path in tmp_path.iterdir()] == [source]


# Processes that end.


class _Ending:
    """A scorer whose process ends on some records, as often as it is told."""

    def __init__(self, scorer, folder, deadly, times):
        self._scorer, self._folder, self._deadly, self._times = scorer, folder, deadly, times
        self.options, self.too_long, self.refused = scorer.options, scorer.too_long, scorer.refused

    def alone(self, raw, number):
        assert number in self._deadly
        return self.line(raw, number)

    def line(self, raw, number):
        if number in self._deadly:
            with (self._folder / str(number)).open("a") as file:
                file.write("x")
            if (self._folder / str(number)).stat().st_size <= self._times:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._scorer.line(raw, number)


def through(pool, found):
    done = []
    for one in found:
        pool.give(one)
        while pool.is_busy and not pool.is_free:
            done += pool.results(1.0)
    while pool.is_busy:
        done += pool.results(1.0)
    return b"".join(one.output for one in sorted(done))


def test_a_range_whose_process_was_killed_is_done_again(records, scorer, expected, tmp_path):
    data = input_of(records, 40)
    found = list(ranges(iter_reader(data), 100_000, 8192))
    with Pool(RangeScorer(_Ending(scorer, tmp_path, {7, 8, 31}, times=1)), 2) as pool:
        assert through(pool, found) == expected(data)
        assert pool.replaced == 3


def test_a_record_whose_process_ended_twice_by_chance_is_scored_all_the_same(
    records, scorer, expected, tmp_path
):
    data = input_of(records, 20)
    found = list(ranges(iter_reader(data), 100_000, 8192))
    ending = _Ending(scorer, tmp_path, {9}, times=2)
    ending.alone = scorer.alone
    with Pool(RangeScorer(ending), 2) as pool:
        assert through(pool, found) == expected(data)
        assert pool.replaced == 2


def test_a_record_that_ends_its_child_too_is_answered(records, scorer, tmp_path, monkeypatch):
    monkeypatch.setattr(scorer._assessor, "scored", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    document = orjson.loads(scorer.alone(records[0], 9).output)
    assert document["id"] == "line-9"
    assert document["issue"][0]["details"]["coding"][0]["code"] == "too-costly"


def test_a_record_whose_process_always_ends_is_answered_and_the_others_are_scored(
    records, scorer, expected, tmp_path
):
    data = input_of(records, 40)
    found = list(ranges(iter_reader(data), 100_000, 8192))
    with Pool(RangeScorer(_Ending(scorer, tmp_path, {9}, times=100)), 2) as pool:
        results = through(pool, found).splitlines()
        assert pool.replaced == 4
    wanted = expected(data).splitlines()
    place = 9 - 1 - 2  # two lines before it are blank
    document = orjson.loads(results[place])
    assert document["id"] == "line-9"
    assert document["issue"][0]["details"]["coding"][0]["code"] == "too-costly"
    assert results[:place] + results[place + 1 :] == wanted[:place] + wanted[place + 1 :]


def test_processes_that_end_before_any_record_end_the_run(records, scorer):
    class Broken(RangeScorer):
        def done(self, task, begin=None):
            os._exit(1)

    found = list(ranges(iter_reader(records[0]), 100_000, 8192))
    with Pool(Broken(scorer), 1) as pool, pytest.raises(StartupError, match="end as soon as they begin"):
        through(pool, found)


def test_what_a_process_does_is_the_same_here(records, scorer, expected, monkeypatch):
    monkeypatch.setattr(scorer, "alone", lambda _, number: scorer.refused(number, Problem("internal", "")))
    data = input_of(records, 5) + b"\n"
    (found,) = ranges(iter_reader(data), 100_000, 1 << 20)
    begun = []
    done = RangeScorer(scorer).done(Task(found, alone=(3,), given_up=(2,)), begun.append)
    assert begun == [1, 2, 3, 6, 7, 8, 0]
    assert done.output.splitlines()[0] == expected(data).splitlines()[0]
    refused = [result for result in map(orjson.loads, done.output.splitlines()) if "issue" in result]
    kinds = [result["issue"][0]["details"]["coding"][0]["code"] for result in refused]
    assert kinds[:2] == ["too-costly", "internal"]
    assert dict(done.counts)["line", REFUSED] == len(refused)
    assert dict(done.counts)["problem", "too-costly"] == 1


# The command.


def command(*arguments):
    return cli.main(["score", *map(str, arguments)])


def test_the_command_scores_and_says_whether_all_could_be_scored(records, tmp_path, capfd):
    source, good, bad = tmp_path / "in.ndjson", tmp_path / "good.ndjson", tmp_path / "bad.ndjson"
    source.write_bytes(records[0] + b"\n" + records[1])
    assert command(source, good, "--workers", 1, "--report", tmp_path / "report") == 0
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "2 records" in printed.err
    assert (tmp_path / "report/report.txt").read_text() in printed.err
    assert (tmp_path / "report/report.svg").read_text().startswith("<svg ")
    source.write_bytes(records[0] + b"\n{")
    assert command(source, bad, "--workers", 1, "--output", "summary") == 1
    assert [orjson.loads(line).get("step") for line in bad.read_bytes().splitlines()] == ["self-care", None]
    assert command(source, bad, "--workers", 1) == 2
    assert command(tmp_path / "none.ndjson", tmp_path / "x.ndjson") == 2


def test_the_command_says_where_it_was_stopped(records, tmp_path, capfd, monkeypatch):
    (tmp_path / "in.ndjson").write_bytes(records[0])
    from service.bulk import score as module

    real = module._Run.run

    def stopped(self):
        self._caught.number = signal.SIGTERM
        real(self)

    monkeypatch.setattr(module._Run, "run", stopped)
    assert command(tmp_path / "in.ndjson", tmp_path / "out.ndjson", "--workers", 1) == 143
    assert "Stopped at line 0; the same command goes on from there." in capfd.readouterr().err


def test_no_answer_and_no_id_reaches_what_is_told(records, run, tmp_path):
    canary = orjson.loads(records[0]) | {"id": "canary-id", "subject": {"reference": "Patient/canary"}}
    broken = records[1].replace(b'"valueCoding"', b'"canaryCoding"')
    (tmp_path / "in.ndjson").write_bytes(orjson.dumps(canary) + b"\n" + broken)
    _, told = run(tmp_path / "in.ndjson")
    assert b"canary-id" in (tmp_path / "out.ndjson").read_bytes()
    assert "canary" not in told


def test_the_report_counts_the_steps_of_all_records(records, run, tmp_path):
    (tmp_path / "in.ndjson").write_bytes(b"\n".join(records[:6]))
    ended, told = run(tmp_path / "in.ndjson")
    results = [orjson.loads(line) for line in (tmp_path / "out.ndjson").read_bytes().splitlines()]
    statuses = Counter(result.get("status", REFUSED) for result in results)
    report = ended.report
    assert (report.final, report.preliminary, report.refused) == (3, 2, 1)
    assert statuses == {"final": 3, PRELIMINARY: 2, REFUSED: 1}
    (guidance_,) = report.guidances
    assert guidance_.all == 5
    assert {step.name: (step.final, step.preliminary) for step in guidance_.steps if step.all} == {
        "See a neurologist soon": (1, 0),
        "See a neurologist": (1, 0),
        "See your usual doctor": (0, 1),
        "Self-care and watch": (1, 0),
        "Not assessable yet": (0, 1),
    }
    assert "  5 of 6 records" not in told
    assert "16.7%  refused" in told


def peak_of(run, tmp_path, size):
    """Returns the most memory, in MiB, that a process of a run had over an input of so many bytes."""
    source = tmp_path / f"in{size}.ndjson"
    with source.open("wb") as file:
        for number in range(size // 10_000):
            file.write(b"x" * 9_999 + (b"\n" if number % 50 > 15 else b""))  # some are over the limit
        for _ in range(size // 2_000_000):
            file.write(b"y" * 1_000_000)  # one is half of the file
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        with suppress(BaseException):
            run(source, f"out{size}.ndjson", range_bytes=1 << 20)
            peaks = [
                resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
            ]
            os.write(writing, str(max(peaks)).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(process, 0)
    with os.fdopen(reading) as told:
        return int(told.read()) / 1024


@pytest.mark.parametrize("size", [40_000_000, pytest.param(300_000_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_input(size, run, tmp_path):
    small = peak_of(run, tmp_path, 4_000_000)
    assert peak_of(run, tmp_path, size) < small + 30


@pytest.mark.slow
def test_the_command_reads_standard_input_in_a_process_of_its_own(records, expected, root, tmp_path):
    data = input_of(records, 3)
    arguments = ["score", "-", str(tmp_path / "out.ndjson"), "--workers", "1"]
    subprocess.run(
        [sys.executable, "-m", "service", *arguments], cwd=root, input=data, capture_output=True, check=False
    )
    assert (tmp_path / "out.ndjson").read_bytes() == expected(data)
