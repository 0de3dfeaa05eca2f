"""The roof: `Webhooks`, which wires everything to a FastAPI application."""

from anzol.app.webhooks import Webhooks

__all__ = ["Webhooks"]
