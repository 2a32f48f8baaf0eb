"""What the service itself asks of other servers."""

from service.outbound.client import Answer, Outbound, OutboundFault, TooLong, TooSlow, Unreadable

__all__ = ["Answer", "Outbound", "OutboundFault", "TooLong", "TooSlow", "Unreadable"]
