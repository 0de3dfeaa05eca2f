"""What people set and look at: customers, endpoints, and the history of what was sent to them."""

from anzol.registry.customers import Customers
from anzol.registry.endpoints import Endpoints
from anzol.registry.history import Attempts, Deliveries, Messages
from anzol.registry.records import Records

__all__ = ["Attempts", "Customers", "Deliveries", "Endpoints", "Messages", "Records"]
