"""Results on their way to storage."""

from __future__ import annotations

import asyncio

import pytest

from anzol.errors import StorageBusy
from anzol.lane import Lane
from anzol.lifecycle import Cause, Incident
from anzol.rules import DeliveryRules
from anzol.settlement import Settlement
from anzol.storage.face import NewIncident, Settled
from anzol.tenure import Tenure
from tests.delivery.fakes import Memory
from tests.delivery.virtual import LoopClock, run


class Desk:
    """A settlement with one lane under it."""

    def __init__(self, rules: DeliveryRules | None = None) -> None:
        self.clock = LoopClock()
        self.memory = Memory(self.clock)
        self.relieved = 0
        self.told = 0
        rules = rules or DeliveryRules()
        self.settlement = Settlement(self.memory, 1, rules, relieved=self._relieved, told=self._told)  # type: ignore[arg-type]
        tenure = Tenure(1, self.settlement, asyncio.Event(), rules)
        endpoint = self.memory.endpoint("one.example")
        self.memory.lanes[endpoint] = 1
        self.lane = Lane(tenure, self.memory.profiles_[endpoint], rules, self.clock.monotonic())

    def _relieved(self) -> None:
        self.relieved += 1

    def _told(self) -> None:
        self.told += 1

    def result(self) -> int:
        number = self.memory.put(self.lane.endpoint_id)
        self.memory.pending[number].holder = 1
        self.settlement.add(self.lane, Settled(number, Cause.ACCEPTED, None, 0, None))
        return number


def test_results_of_a_moment_are_one_transaction() -> None:
    async def story() -> None:
        desk = Desk()
        writing = asyncio.create_task(desk.settlement.run())
        numbers = [desk.result() for _ in range(50)]
        await asyncio.sleep(0.005)
        numbers += [desk.result() for _ in range(50)]
        await asyncio.sleep(0.05)
        writing.cancel()
        assert desk.memory.calls["settle"] == 1
        assert list(desk.memory.ended) == numbers
        assert desk.settlement.unsettled == desk.lane.unsettled == 0

    run(story())


def test_a_full_batch_does_not_wait() -> None:
    async def story() -> None:
        desk = Desk(DeliveryRules(batch=10, gather=60))
        writing = asyncio.create_task(desk.settlement.run())
        for _ in range(10):
            desk.result()
        await asyncio.sleep(0.01)
        writing.cancel()
        assert len(desk.memory.ended) == 10

    run(story())


def test_what_comes_while_a_batch_is_written_is_the_next_batch() -> None:
    async def story() -> None:
        desk = Desk()
        desk.result()
        first = asyncio.create_task(desk.settlement.write())
        await asyncio.sleep(0)
        later = desk.result()
        await first
        assert later not in desk.memory.ended
        await desk.settlement.flush()
        assert later in desk.memory.ended
        assert desk.memory.calls["settle"] == 2

    run(story())


def test_a_batch_that_fails_is_kept_whole() -> None:
    async def story() -> None:
        desk = Desk()
        desk.memory.failing = [StorageBusy("locked")]
        number = desk.result()
        desk.settlement.add_incident(NewIncident(Incident.MESSAGE_EXHAUSTED, desk.lane.endpoint_id, None, "why"))
        with pytest.raises(StorageBusy):
            await desk.settlement.write()
        assert (desk.settlement.unsettled, desk.told) == (1, 0)
        await desk.settlement.flush()
        assert number in desk.memory.ended
        assert desk.memory.told(Incident.MESSAGE_EXHAUSTED) == ["why"]
        assert desk.told == 1

    run(story())


def test_it_says_when_claims_may_go_on() -> None:
    async def story() -> None:
        desk = Desk(DeliveryRules(most_unsettled=3))
        for _ in range(3):
            desk.result()
        await desk.settlement.flush()
        assert desk.relieved == 1

    run(story())


def test_only_the_last_standing_of_a_lane_is_written() -> None:
    async def story() -> None:
        desk = Desk()
        for failures in (1, 2, 3):
            desk.lane.circuit = desk.lane.circuit.__class__(failures, 5, None, 0)
            desk.settlement.add_health(desk.lane)
        assert desk.lane.unwritten == 3
        await desk.settlement.flush()
        assert desk.memory.profiles_[desk.lane.endpoint_id].failures == 3
        assert desk.lane.unwritten == 0

    run(story())
