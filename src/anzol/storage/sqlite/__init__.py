"""Storage in one SQLite file: the default, which needs no service."""
