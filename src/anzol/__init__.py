"""Webhooks for FastAPI, whole: declare, document, send, deliver, show, receive."""
