"""What the service itself asks of other servers."""

from service.outbound.answer import Answer, OutboundFault, TooLong, TooSlow, Unreadable
from service.outbound.client import Outbound

__all__ = ["Answer", "Outbound", "OutboundFault", "TooLong", "TooSlow", "Unreadable"]
