"""A resource as it is stored: our id, version and time, everything else as it came."""

import msgspec
import orjson

from service.fhir.dates import instant
from service.records.meta import stamped

MOMENT = 1_795_000_000_000_001


def test_an_instant_has_microseconds_and_a_zone():
    assert instant(MOMENT) == "2026-11-18T11:06:40.000001Z"
    assert instant(0) == "1970-01-01T00:00:00.000000Z"


def test_cr02_id_version_and_time_of_a_body_are_replaced():
    body = b'{"resourceType":"X","id":"a","meta":{"versionId":"9","lastUpdated":"2000-01-01T00:00:00Z"}}'
    document = orjson.loads(stamped(body, "b", 3, instant(MOMENT)))
    assert document == {
        "resourceType": "X",
        "id": "b",
        "meta": {"versionId": "3", "lastUpdated": instant(MOMENT)},
    }


def test_cr03_every_other_byte_stays():
    body = (
        b'{ "status" : "x", "n":[2.00, 1e2, -0.10],\n "t":"\\u00e9\\"" , '
        b'"resourceType":"X", "_d":{"e":[null,{"a":1}]}}'
    )
    written = stamped(body, "b", 1, instant(MOMENT))
    assert msgspec.json.decode(written)["resourceType"] == "X"
    assert b"[2.00, 1e2, -0.10]" in written
    assert b'"\\u00e9\\""' in written
    assert b'"_d":{"e":[null,{"a":1}]}' in written


def test_cr03_what_else_stands_in_meta_is_kept():
    body = b'{"meta":{"tag":[{"code":"t"}],"profile":["p"],"_versionId":{}},"resourceType":"X"}'
    meta = orjson.loads(stamped(body, "b", 1, instant(MOMENT)))["meta"]
    assert meta["tag"] == [{"code": "t"}]
    assert meta["profile"] == ["p"]
    assert "_versionId" not in meta
