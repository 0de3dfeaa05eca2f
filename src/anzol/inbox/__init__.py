"""The inbox: the built-in test receiver of `anzol dev`, a page that shows what arrived, signature checked, live."""

from anzol.inbox.arrivals import Arrival, Arrivals
from anzol.inbox.pages import Inbox

__all__ = ["Arrival", "Arrivals", "Inbox"]
