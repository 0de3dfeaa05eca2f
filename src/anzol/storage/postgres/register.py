"""Customers, endpoints and their secrets: what people set."""
