"""The whole service on the questionnaires and mappings of the project, read once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.assess import Assessor
from service.catalogue import Catalogue
from service.fhir.json import BodyLimits
from service.results import FULL
from service.validate import Validator

Json = dict[str, Any]


@pytest.fixture(scope="session")
def assessor(served: Catalogue) -> Assessor:
    return Assessor(served, BodyLimits(body_bytes=64 * 1024 * 1024))


@pytest.fixture(scope="session")
def validator(served: Catalogue) -> Validator:
    return Validator(served, BodyLimits())


@pytest.fixture
def sample(root: Path) -> Callable[[str], Json]:
    """Reads one of the samples as a fresh document that a test may change."""
    return lambda name: orjson.loads((root / "samples" / f"{name}.json").read_bytes())


@pytest.fixture
def assessed(assessor: Assessor) -> Callable[[Json], Json]:
    """Assesses a document and returns the RiskAssessment in full, which says all that the short one says."""
    return lambda document: orjson.loads(assessor.assess_body(orjson.dumps(document), FULL).body)
