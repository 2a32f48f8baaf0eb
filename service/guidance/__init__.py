"""The engine: guidance is data, an answer has three values; imports marshmallow, msgspec and errors only."""

from service.guidance.evaluate import Ahead
from service.guidance.loading import Guidance, load

__all__ = ["Ahead", "Guidance", "load"]
