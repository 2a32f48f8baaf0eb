"""What it costs that requests need an access token: requests per second with and without access control.

The same service runs twice under the same gunicorn configuration, once with a registry whose key stands in a
file; bursts of load alternate between the two. One token comes with every request, as an app sends it, or
each request brings a token that nobody has seen, whose signature has to be checked. The goal is 0.85 or more
with a key that is kept.

The load is made by the built-in client, which takes part of a core itself: the CPU that the workers use for a
request tells more than the rates.

First, in process: the first check of a token against its signature alone, which no check can do without.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from itertools import repeat
from pathlib import Path
from typing import Final

import orjson
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from benchmarks.http import SERVICE, Server, serving
from benchmarks.load import CONNECTIONS, PATH, request_of, send
from service.auth.ehrs import read_ehrs
from service.auth.keys import KeySets
from service.auth.tokens import TokenChecks
from service.outbound import Outbound
from service.settings import ROOT

ALGORITHM: Final = "RS256"
CURVES: Final = {"ES256": "P-256", "ES384": "P-384"}
BURST: Final = 200  # tokens
_ISSUER: Final = "https://login.example.org"
_AUDIENCE: Final = "https://forms.example.org/fhir"
_REGISTRY: Final = f"""
ehrs:
  - issuer: https://ehr.example.org/fhir
    tenant: north
    tokens:
      issuer: {_ISSUER}
      audience: [{_AUDIENCE}]
      jwks-file: keys.json
      token-endpoint: {_ISSUER}/token
"""
_ALONE: Final = {"AUDIT": "false", "REQUESTS_PER_MINUTE": "0"}
"""The check of the token alone, without the trail and the limit of rates that come with access control."""

_KIND: Final = "/fhir/QuestionnaireResponse"

Requests = Callable[[str], bytes]
"""Makes a request from an Authorization header; empty for none."""

Supply = Callable[[int], list[str]]
"""Returns the tokens of one burst of at most so many requests, which come round again and again."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=Path, default=ROOT / "samples" / "plain-eyelid.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="length of one burst; 0 for the checks alone")
    asked = parser.parse_args()
    for algorithm in (ALGORITHM, *CURVES):
        report_checks(algorithm, max(asked.rounds, 9))
    if asked.seconds:
        compare_requests(asked)


def compare_requests(asked: argparse.Namespace) -> None:
    """Prints what requests cost with access control and without."""
    body = orjson.dumps(orjson.loads(asked.sample.read_bytes()))
    key = key_for(ALGORITHM)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        registry = write_registry(folder, key)
        free = stack.enter_context(serving(SERVICE, f"sqlite:///{folder}/free.db"))
        controlled = stack.enter_context(
            serving(SERVICE, f"sqlite:///{folder}/controlled.db", EHRS_FILE=str(registry), **_ALONE)
        )
        print(f"{asked.sample.name}: {len(body)} bytes, {CONNECTIONS} connections, tokens by {ALGORITHM}")
        source = tokens(key)
        supplies: dict[str, Supply] = {
            "one token": lambda _: [next(source)],
            "new tokens": lambda most: [*itertools.islice(source, most)],
        }
        for name, *makers in requests_of(free, controlled, body, next(source)):
            for words, supply in supplies.items():
                report(f"{name}, {words}", compared((free, controlled), makers, supply, asked))


def key_for(algorithm: str) -> RSAKey | ECKey:
    parameters = {"kid": "bench", "use": "sig"}
    if algorithm in CURVES:
        return ECKey.generate_key(CURVES[algorithm], parameters=parameters)
    return RSAKey.generate_key(2048, parameters=parameters)


def report_checks(algorithm: str, rounds: int) -> None:
    """Prints how much of a first check is not the signature: bursts of both alternate."""
    key = key_for(algorithm)
    with tempfile.TemporaryDirectory() as folder:
        registry = write_registry(Path(folder), key)
        ehrs = read_ehrs(registry, server="https://forms.example.org", forms=())
        nobody = Outbound(())  # the keys stand in a file
        checks = TokenChecks(ehrs, KeySets(nobody), nobody)
        source = tokens(key, algorithm)
        checks.principal(next(source))  # reads the keys
        pairs = [
            (seconds(checks.principal, sent), seconds(verifying(algorithm, key), sent))
            for sent in ([*itertools.islice(source, BURST)] for _ in range(rounds))
        ]
    ratio = statistics.median(check / alone for check, alone in pairs)
    more = statistics.median(check - alone for check, alone in pairs) / BURST * 1e6
    print(f"first check of a token / its {algorithm} alone   {ratio:.2f}  ({more:+.0f} microseconds here)")


def verifying(algorithm: str, key: RSAKey | ECKey) -> Callable[[str], object]:
    """Returns what does nothing but verify the signature of a token."""
    model = jws.JWSRegistry(algorithms=[algorithm]).get_alg(algorithm)

    def verified(token: str) -> None:
        text, _, signature = token.rpartition(".")
        assert model.verify(text.encode(), base64.urlsafe_b64decode(f"{signature}=="), key)

    return verified


def seconds(check: Callable[[str], object], sent: Sequence[str]) -> float:
    started = time.process_time()
    for token in sent:
        check(token)
    return time.process_time() - started


def write_registry(folder: Path, key: RSAKey | ECKey) -> Path:
    """Writes the registry and the public key that signs its tokens."""
    (folder / "keys.json").write_bytes(orjson.dumps(KeySet([key]).as_dict(private=False)))
    (folder / "ehrs.yaml").write_text(_REGISTRY, "utf-8")
    return folder / "ehrs.yaml"


def tokens(key: RSAKey | ECKey, algorithm: str = ALGORITHM) -> Iterator[str]:
    """Yields access tokens, each of its own."""
    claims = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": "bench", "scope": "system/*.cruds"}
    for number in itertools.count():
        own = {"exp": int(time.time()) + 3600, "jti": str(number)}
        header = {"alg": algorithm, "kid": "bench", "typ": "at+jwt"}
        yield jwt.encode(header, claims | own, key, algorithms=[algorithm])


def requests_of(
    free: Server, controlled: Server, body: bytes, token: str
) -> Iterator[tuple[str, Requests, Requests]]:
    """Yields name and makers of each kind of request; what is read is stored first."""
    assess = maker("POST", PATH, body)
    yield "$assess", assess, assess
    paths = [stored(server, body, token) for server in (free, controlled)]
    yield "read", maker("GET", paths[0]), maker("GET", paths[1])


def maker(method: str, path: str, body: bytes = b"") -> Requests:
    """Returns what makes one kind of request."""

    def made(authorization: str) -> bytes:
        headers = {"Authorization": authorization} if authorization else {}
        return request_of(method, path, body, **headers)

    return made


def stored(server: Server, body: bytes, token: str) -> str:
    """Stores a response; returns where it can be read."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Content-Type": "application/fhir+json", "Authorization": f"Bearer {token}"}
    connection.request("POST", _KIND, body, headers)
    answer = connection.getresponse()
    document = orjson.loads(answer.read())
    assert answer.status == 201, document
    return f"{_KIND}/{document['id']}"


def compared(
    servers: tuple[Server, Server], makers: Sequence[Requests], supply: Supply, asked: argparse.Namespace
) -> list[tuple[float, float]]:
    """Returns of each pair of bursts the ratio of rates, and that of CPU per request; above 1 is faster."""
    (free, controlled), (make_free, make_controlled) = servers, makers
    most = int(burst(free, repeat(make_free("")), asked.seconds)[0] * asked.seconds * 1.5)
    burst(controlled, repeat(make_controlled(f"Bearer {supply(1)[0]}")), asked.seconds)
    pairs = []
    for _ in range(asked.rounds):
        sent = [make_controlled(f"Bearer {token}") for token in supply(most)]  # before the clock runs
        rate, cpu = burst(free, repeat(make_free("")), asked.seconds)
        with_token, more_cpu = burst(controlled, itertools.cycle(sent), asked.seconds)
        pairs.append((with_token / rate, cpu / more_cpu))
    return pairs


def burst(server: Server, requests: Iterator[bytes], seconds: int) -> tuple[float, float]:
    """Returns requests per second, and CPU seconds of the workers per request."""
    before = server.cpu()
    rate = send(server.port, requests, seconds).rate
    return rate, (server.cpu() - before) / (rate * seconds)


def report(name: str, pairs: list[tuple[float, float]]) -> None:
    rate, cpu = (statistics.median(pair[number] for pair in pairs) for number in (0, 1))
    print(f"  {name:20} requests per second, with / without   {rate:.2f}  (goal: 0.85 or more)")
    print(f"  {'':20} CPU per request, without / with       {cpu:.2f}")


if __name__ == "__main__":
    main()
