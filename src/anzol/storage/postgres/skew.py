"""How far the database's clock is from this machine's: workers go by theirs, what is stored goes by the other."""

from __future__ import annotations


class Skew:
    """What is known of it, from questions that the database answered with its time; microseconds.

    ``ahead`` is the database's clock minus ours: 0 until something else is known, and where both are one.
    """

    __slots__ = ("ahead",)

    def __init__(self) -> None:
        self.ahead = 0

    def learn(self, asked: int, said: int, heard: int) -> None:
        """Take an answer: *said* between *asked* and *heard* of our clock. What it does not contradict stays."""
        if not asked <= said - self.ahead <= heard:
            self.ahead = said - (asked + heard) // 2
