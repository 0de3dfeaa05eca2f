"""One round of a dispatcher: release, take, fan out, clear touches, look."""
