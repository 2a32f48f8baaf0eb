"""Results against labels: each rate, its interval, and that nobody is left out."""

import gzip
import io
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import orjson
import pytest

from service import cli
from service.authoring.generator import CaseResponses
from service.bulk.evaluation import (
    Evaluation,
    OfGuidance,
    Placed,
    Rate,
    evaluate,
    read_labels,
    wilson,
)
from service.bulk.ranges import RANGE_BYTES
from service.bulk.scorer import FINAL, PRELIMINARY, REFUSED, Scorer, ScoringOptions
from service.errors import StartupError
from service.fhir.json import encoded
from service.settings import ROOT, Settings

SECOND = ROOT / "tests/second_pair"
SETTINGS = Settings(questionnaires_dir=SECOND / "questionnaires", mappings_dir=SECOND / "mappings")


@cache
def scorer() -> Scorer:
    return Scorer(ScoringOptions.from_settings(SETTINGS))


@cache
def responses() -> dict[str, bytes]:
    """Returns a response of each worked case by name."""
    (pair,) = scorer().served.pairs.values()
    made = CaseResponses(pair)
    return {case.name: encoded(made.of(case, name=case.name)) for case in pair.guidance.cases}


def steps() -> list[str]:
    (pair,) = scorer().served.pairs.values()
    return [tier.code for tier in pair.guidance.written.tiers]


def labelled(response: bytes, label: object) -> bytes:
    return b'{"label":%b,"response":%b}' % (orjson.dumps(label), response)


def evaluated(lines: Iterable[bytes], labels: Mapping[str, str] | None = None) -> Evaluation:
    return evaluate(io.BytesIO(b"\n".join(lines)).read, scorer(), labels)


def only(found: Evaluation) -> OfGuidance:
    (one,) = found.guidances.values()
    return one


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_those_that_newcombe_published(count: int, of: int, low: float, high: float) -> None:
    """Newcombe, Stat Med 1998;17:857-872, Table I, method 3."""
    assert wilson(count, of) == pytest.approx((low, high), abs=0.00005)
    mirrored = wilson(of - count, of)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=0.00005)


def test_an_interval_never_leaves_zero_to_one_and_holds_the_share() -> None:
    for of in (1, 2, 7, 1000):
        for count in range(min(of, 20) + 1):
            low, high = wilson(count, of)
            assert 0 <= low <= count / of <= high <= 1


LADDER = ("rest", "plan", "see", "run")


def counted(*placed: tuple[int, int, int, str]) -> OfGuidance:
    return OfGuidance("guidance|1", LADDER, Counter(Placed(*one) for one in placed))


MIXED = counted(
    (2, 2, 2, FINAL),  # right
    (2, 1, 1, FINAL),  # too low
    (1, 3, 3, FINAL),  # too high
    (3, 0, 3, PRELIMINARY),  # could be anything
    (0, 0, 2, PRELIMINARY),
    (2, 0, 3, REFUSED),
    (0, 0, 3, REFUSED),
)


@pytest.mark.parametrize(
    ("basis", "sensitivity", "under", "over"),
    [
        ("final", Rate(1, 1, 2), Rate(1, 1, 2), Rate(1, 1, 1)),
        ("scored", Rate(1, 2, 3), Rate(1, 2, 3), Rate(1, 2, 2)),
        ("labelled", Rate(1, 3, 4), Rate(1, 3, 4), Rate(1, 3, 3)),
    ],
)
def test_who_reaches_a_step_or_a_worse_one(basis: str, sensitivity: Rate, under: Rate, over: Rate) -> None:
    assert MIXED.or_worse(2, basis) == {
        "sensitivity": sensitivity,
        "under-triage": under,
        "over-triage": over,
    }


@pytest.mark.parametrize(
    ("basis", "same", "under", "over"),
    [
        ("final", Rate(1, 1, 3), Rate(1, 1, 3), Rate(1, 1, 3)),
        ("scored", Rate(1, 3, 5), Rate(1, 2, 5), Rate(1, 2, 5)),
        ("labelled", Rate(1, 5, 7), Rate(1, 3, 7), Rate(1, 4, 7)),
    ],
)
def test_who_comes_to_the_step_of_the_label(basis: str, same: Rate, under: Rate, over: Rate) -> None:
    assert MIXED.against_label(None, basis) == {"same": same, "under-triage": under, "over-triage": over}


def test_sensitivity_and_under_triage_are_two_sides_of_the_same_people() -> None:
    for rank in (1, 2, 3):
        for basis in ("final", "scored", "labelled"):
            found = MIXED.or_worse(rank, basis)
            reached, missed = found["sensitivity"], found["under-triage"]
            assert reached.at_least + missed.at_most == reached.of == missed.of
            assert reached.at_most + missed.at_least == reached.of


def test_the_table_holds_everybody_once() -> None:
    table = MIXED.confusion()
    assert sum(number for row in table.values() for number in row.values()) == 7
    assert table["see"] == {"rest": 0, "plan": 1, "see": 1, "run": 0, "open": 0, "refused": 1}
    assert list(MIXED.open()) == [("rest", "rest", "see", 1), ("run", "rest", "run", 1)]


def test_a_rate_is_told_with_both_ends_and_the_widest_interval() -> None:
    low, high = wilson(20, 26)[0], wilson(23, 26)[1]
    assert Rate(20, 23, 26).interval == (low, high)
    assert str(Rate(20, 23, 26)) == "20 to 23 of 26, 76.9 to 88.5 % (57.9 to 96.0)"
    assert str(Rate(0, 0, 20)) == "0 of 20, 0.0 % (0.0 to 16.1)"
    assert str(Rate(0, 0, 0)) == "nobody"


def test_worked_cases_with_the_steps_that_they_expect_are_all_right() -> None:
    (pair,) = scorer().served.pairs.values()
    settled = [case for case in pair.guidance.cases if case.expect.tier and len(set(case.expect.tier)) == 1]
    lines = [labelled(responses()[case.name], case.expect.tier[0]) for case in settled if case.expect.tier]
    found = only(evaluated(lines))
    assert found.placed.total() == len(lines) > 3
    assert found.against_label(None, "labelled")["same"].at_most == len(lines)
    assert found.against_label(None, "final")["under-triage"].at_most == 0


def test_labels_of_a_table_count_as_those_beside_the_responses(tmp_path: Path) -> None:
    names = list(responses())
    path = tmp_path / "labels.csv"
    path.write_text("\ufefflabel,id,why\n" + "".join(f"{steps()[-1]},{name},x\n" for name in names))
    by_table = evaluated(responses().values(), read_labels(path))
    beside = evaluated(labelled(each, steps()[-1]) for each in responses().values())
    assert by_table.plain() == beside.plain()
    assert only(by_table).placed.total() == len(names)


def test_nobody_is_left_out() -> None:
    whole = next(iter(responses().values()))
    wrong = whole.replace(b'"status":"', b'"status":"un')
    unknown = whole.replace(b"workday-strain|2.1.0", b"canary|1")
    found = evaluated(
        [whole, labelled(wrong, steps()[0]), wrong, unknown, labelled(unknown, "urgent"), b"{", b"", b""],
        {"nobody": "x"},
    )
    one = only(found)
    assert one.unlabelled.total() == 2
    assert one.unlabelled[REFUSED] == 1
    assert one.placed == {Placed(0, 0, len(steps()) - 1, REFUSED): 1}
    assert found.unknown == {True: 1, False: 2}
    assert found.unused == 1
    text = "\n".join(found.lines())
    assert "0 final, 0 preliminary, 1 refused" in text
    assert "and 2 without a label" in text
    assert "3 refused, to no questionnaire that is served here: 1 with a label, 2 without" in text
    assert "1 labels belong to no response" in text


@pytest.mark.parametrize("label", ["canary", 3, ["run"]])
def test_a_label_that_is_no_step_is_a_fault_that_repeats_nothing(label: object) -> None:
    whole = next(iter(responses().values()))
    with pytest.raises(StartupError) as caught:
        evaluated([whole, labelled(whole, label)])
    assert caught.value.faults == [f"line 2: label: expected one of {', '.join(steps())}"]


def test_a_response_with_two_labels_is_a_fault() -> None:
    name, whole = next(iter(responses().items()))
    twice = [labelled(whole, steps()[0]), whole]
    with pytest.raises(StartupError, match="line 1: label: expected one label"):
        evaluated(twice[:1], {name: steps()[0]})
    with pytest.raises(StartupError, match="line 2: label: expected one label"):
        evaluated([whole, whole], {name: steps()[0]})


def test_the_first_line_may_begin_with_a_byte_order_mark() -> None:
    whole = next(iter(responses().values()))
    lines = [b"\xef\xbb\xbf" + labelled(whole, steps()[0]), labelled(whole, steps()[0])]
    assert only(evaluated(lines)).placed.total() == 2


def test_a_response_over_the_limit_is_refused_and_its_label_counts() -> None:
    whole = next(iter(responses().values()))
    large = whole[:-1] + b" " * scorer().options.most_bytes + b"}"
    one = only(evaluated([labelled(whole, steps()[1]), labelled(large, steps()[1])]))
    assert sorted(placed.outcome for placed in one.placed.elements()) == [FINAL, REFUSED]


def test_a_line_that_is_too_long_to_be_held_is_a_fault_since_its_label_is_not_known() -> None:
    most = scorer().options.most_bytes + RANGE_BYTES
    whole = next(iter(responses().values()))
    lines = [whole, b" " * (2 * most), b"[" * (most + 1), b"", whole, b"[" * (2 * most)]
    with pytest.raises(StartupError) as caught:
        evaluated(lines)
    told = f"expected at most {most} bytes (SERVICE_MAX_BODY_BYTES and a mebibyte)"
    assert caught.value.faults == [f"line 3: {told}", f"line 6: {told}"]


def test_so_many_faults_are_told_and_no_more_is_read() -> None:
    whole = next(iter(responses().values()))
    left = [labelled(whole, "canary") + b"\n"] * 1000

    def read(_: int) -> bytes:
        return left.pop() if left else b""

    with pytest.raises(StartupError) as caught:
        evaluate(read, scorer())
    assert [fault.split(":")[0] for fault in caught.value.faults] == [f"line {n}" for n in range(1, 11)]
    assert len(left) == 990


def test_memory_does_not_grow_with_the_file() -> None:
    """Lines that are refused before anything of them is read: what is held is what reading holds."""
    line, most = b"[" + b" " * 30_000 + b"\n", []
    for mebibytes in (4, 16):
        left = mebibytes << 20

        def read(size: int) -> bytes:
            nonlocal left
            size = min(size, left)
            left -= size
            return (line * (size // len(line) + 1))[:size]

        tracemalloc.start()
        evaluate(read, scorer())
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[1] < most[0] + (1 << 20)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("id,step\na,run\n", "expected a header with the columns id and label"),
        ("", "expected a header with the columns id and label"),
        ("id,label\na,run\na,rest\n", "line 3: expected an id with one label"),
        ("id,label\na,\n", "line 2: expected an id with one label"),
        ("id,label\na\n", "line 2: expected an id with one label"),
        ("id,label\nJos\xe9,run\n", "expected a CSV file in UTF-8"),
        (f"id,label\n{'a' * 140_000},run\n", "expected a CSV file in UTF-8"),
    ],
    ids=range(7),
)
def test_a_table_that_cannot_be_right_is_a_fault(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text, "latin-1")
    with pytest.raises(StartupError, match=fault):
        read_labels(path)


def test_the_command_prints_text_or_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("QUESTIONNAIRES", "MAPPINGS"):
        monkeypatch.setenv(f"SERVICE_{name}_DIR", str(SECOND / name.lower()))
    path = tmp_path / "labelled.ndjson"
    lines = [labelled(each, steps()[-1]) for each in responses().values()]
    path.write_bytes(b"\n".join(lines))
    assert cli.main(["evaluate", str(path)]) == 0
    expected = evaluated(lines)
    assert capfd.readouterr().out == "\n".join(expected.lines()) + "\n"
    assert cli.main(["evaluate", str(path), "--json"]) == 0
    assert orjson.loads(capfd.readouterr().out) == orjson.loads(orjson.dumps(expected.plain()))
    path.write_bytes(labelled(lines[0], "canary"))
    assert cli.main(["evaluate", str(path)]) == 0, "a line in a line is no response, so that it is refused"
    path.write_bytes(labelled(next(iter(responses().values())), "canary"))
    assert cli.main(["evaluate", str(path)]) == 2
    assert "canary" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["in.ndjson.gz", "in.NDJSON.ZST"])
def test_the_command_reads_compressed_files_and_tells_their_faults(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if name.endswith(".gz"):
        compress, kind = gzip.compress, "gzip"
    else:
        zstd = pytest.importorskip("backports.zstd", reason="backports.zstd is not installed")
        compress, kind = zstd.compress, "Zstandard"
    for folder in ("QUESTIONNAIRES", "MAPPINGS"):
        monkeypatch.setenv(f"SERVICE_{folder}_DIR", str(SECOND / folder.lower()))
    lines = [labelled(each, steps()[-1]) for each in responses().values()]
    plain, path = tmp_path / "in.ndjson", tmp_path / name
    plain.write_bytes(b"\n".join(lines))
    first = b"\n".join(lines[:2]) + b"\n"
    members = compress(first), compress(b"\n".join(lines[2:]))
    path.write_bytes(b"".join(members))
    told = []
    for file in (plain, path):
        assert cli.main(["evaluate", str(file), "--json"]) == 0
        told.append(capfd.readouterr().out)
    assert told[0] == told[1]
    path.write_bytes(b"".join(members)[:-5])
    assert cli.main(["evaluate", str(path)]) == 2
    assert capfd.readouterr().err == f"error: {path}: expected {kind} data that are whole\n"
    path.write_bytes(compress(lines[0] + b"\n" + labelled(next(iter(responses().values())), "canary")))
    assert cli.main(["evaluate", str(path)]) == 2
    assert capfd.readouterr().err == f"error: line 2: label: expected one of {', '.join(steps())}\n"
