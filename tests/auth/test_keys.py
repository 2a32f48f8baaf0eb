"""Keys of authorisation servers: how long they are kept, rotation, faults, and which are taken (AU07)."""

import threading
import warnings
from threading import RLock

import orjson
import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from service.auth.keys import AFTER_FAULT_S, BETWEEN_S, LONGEST_S, USUAL_S, KeySets, keys_of
from service.errors import Unavailable
from service.outbound import Answer, OutboundFault

URL = "https://login.example.org/jwks"


def entry(key, kid="1", **more):
    return {**key.as_dict(private=False), "kid": kid, **more}


FIRST, SECOND = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
with warnings.catch_warnings(action="ignore"):
    SHORT = RSAKey.generate_key(1024)
CURVE = ECKey.generate_key("P-384")


class Server:
    """An authorisation server's set of keys; counts who asks."""

    def __init__(self, *keys, cache_control=""):
        self.keys, self.cache_control, self.asked, self.down, self.status = (
            list(keys),
            cache_control,
            0,
            False,
            200,
        )

    def get(self, url):
        assert url == URL
        self.asked += 1
        if self.down:
            raise OutboundFault("down")
        headers = {"cache-control": self.cache_control} if self.cache_control else {}
        return Answer(self.status, headers, orjson.dumps({"keys": self.keys}))


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_key_is_found_by_its_id_and_fetched_once(clock):
    server = Server(entry(FIRST, "a"), entry(SECOND, "b"))
    sets = KeySets(server, clock)
    for _ in range(3):
        assert sets.key(URL, "b", "RS384").thumbprint() == SECOND.thumbprint()
    assert server.asked == 1


def test_au07_rotation_is_seen_by_one_fetch(clock):
    server = Server(entry(FIRST, "a"))
    sets = KeySets(server, clock)
    assert sets.key(URL, "a", "RS384")
    server.keys = [entry(SECOND, "b")]
    assert sets.key(URL, "b", "RS384").thumbprint() == SECOND.thumbprint()
    assert sets.key(URL, "a", "RS384") is None
    assert server.asked == 2


def test_au07_unknown_ids_do_not_make_more_than_one_fetch_in_a_while(clock):
    server = Server(entry(FIRST, "a"))
    sets = KeySets(server, clock)
    for number in range(50):
        assert sets.key(URL, f"made-up-{number}", "RS384") is None
    assert server.asked == 2
    clock.now += BETWEEN_S
    assert sets.key(URL, "made-up", "RS384") is None
    assert server.asked == 3


def test_au07_known_keys_work_while_the_server_is_down_then_nothing_does(clock):
    server = Server(entry(FIRST, "a"), cache_control="max-age=60")
    sets = KeySets(server, clock)
    assert sets.key(URL, "a", "RS384")
    server.down = True
    clock.now += 59
    assert sets.key(URL, "a", "RS384")
    assert sets.key(URL, "b", "RS384") is None
    clock.now += 3
    with pytest.raises(Unavailable):
        sets.key(URL, "a", "RS384")


def test_au07_a_server_that_is_down_is_not_asked_by_every_request(clock):
    server = Server(entry(FIRST, "a"))
    server.down = True
    sets = KeySets(server, clock)
    for _ in range(20):
        with pytest.raises(Unavailable):
            sets.key(URL, "a", "RS384")
    assert server.asked == 1
    server.down = False
    clock.now += AFTER_FAULT_S
    assert sets.key(URL, "a", "RS384")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", USUAL_S),
        ("public", USUAL_S),
        ("max-age=60", 60),
        ("public, Max-Age=60, must-revalidate", 60),
        ("max-age=99999999", LONGEST_S),
        ("max-age=0", 1),
        ("no-store", 1),
        ("no-cache, max-age=600", 1),
    ],
)
def test_a_set_is_kept_as_long_as_its_answer_says_but_not_for_ever(clock, said, seconds):
    server = Server(entry(FIRST, "a"), cache_control=said)
    sets = KeySets(server, clock)
    sets.key(URL, "a", "RS384")
    clock.now += seconds - 0.5
    sets.key(URL, "a", "RS384")
    assert server.asked == 1
    clock.now += 0.5
    sets.key(URL, "a", "RS384")
    assert server.asked == 2


def test_a_key_of_another_type_curve_or_algorithm_is_not_taken(clock):
    sets = KeySets(Server(entry(FIRST, "a", alg="RS384"), entry(CURVE, "c")), clock)
    assert sets.key(URL, "a", "RS384")
    for algorithm in ("RS256", "PS384", "ES384", "HS256", "none"):
        assert sets.key(URL, "a", algorithm) is None
    assert sets.key(URL, "c", "ES384")
    for algorithm in ("ES256", "RS384", "HS384"):
        assert sets.key(URL, "c", algorithm) is None


def test_without_an_id_the_set_must_have_one_key_that_fits(clock):
    assert KeySets(Server(entry(FIRST, "a"), entry(CURVE, "c")), clock).key(URL, None, "RS384")
    assert KeySets(Server(entry(FIRST, "a"), entry(SECOND, "b")), clock).key(URL, None, "RS384") is None


@pytest.mark.parametrize(
    "refused",
    [
        entry(FIRST, use="enc"),
        entry(FIRST, key_ops=["sign"]),
        {**FIRST.as_dict(private=True), "kid": "1"},
        OctKey.generate_key(256).as_dict(private=True) | {"kid": "1"},
        entry(OKPKey.generate_key("Ed25519")),
        entry(SHORT),
        {"kty": "RSA", "kid": "1"},
        {"kty": "RSA", "kid": "1", "n": "!", "e": "AQAB"},
        {"kty": "EC", "kid": "1", "crv": "P-999", "x": "AA", "y": "AA"},
        {"kty": ["RSA"]},
        {"kid": "1"},
        entry(FIRST, kid=1),
        "text",
        None,
    ],
)
def test_what_may_check_no_signature_is_left_out(refused):
    kept = keys_of(orjson.dumps({"keys": [refused, entry(SECOND, "2")]}))
    assert [key.kid for key in kept] == ["2"]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"keys":{}}', b"{}", orjson.dumps({"keys": [1] * 101})]
)
def test_what_is_no_set_of_keys_is_a_fault(clock, body):
    with pytest.raises(ValueError, match=r"."):
        keys_of(body)


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_another_status_is_a_fault(clock, status):
    server = Server(entry(FIRST, "a"))
    server.status = status
    with pytest.raises(Unavailable):
        KeySets(server, clock).key(URL, "a", "RS384")


def test_a_file_is_read_again_for_a_key_that_it_lacked(tmp_path, clock):
    path = tmp_path / "jwks.json"
    path.write_bytes(orjson.dumps({"keys": [entry(FIRST, "a")]}))
    sets = KeySets(Server(), clock)
    assert sets.key(path, "a", "RS384")
    path.write_bytes(orjson.dumps({"keys": [entry(SECOND, "b")]}))
    assert sets.key(path, "b", "RS384")


def test_a_file_that_is_gone_is_a_fault(tmp_path, clock):
    with pytest.raises(Unavailable):
        KeySets(Server(), clock).key(tmp_path / "none.json", "a", "RS384")


def test_who_waits_for_keys_lets_others_work(clock, monkeypatch):
    """A worker replaces `threading.Lock` after the start: one of before would stop all that it does."""
    made = []

    def of_the_worker():
        made.append(RLock())
        return made[-1]

    monkeypatch.setattr(threading, "Lock", of_the_worker)
    assert KeySets(Server(entry(FIRST)), clock).key(URL, "1", "RS384")
    assert len(made) == 1
