from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anzol import ids
from anzol.errors import InvalidValue

NOW = 2_000_000_000_000_000  # microseconds; later than the other tests' clocks, so that these ids begin anew
HOUR = 3600 * 1_000_000

raw_ids = st.binary(min_size=16, max_size=16)


@given(raw_ids)
def test_an_id_is_read_as_it_was_shown(raw: bytes) -> None:
    shown = ids.show(ids.MESSAGE, raw)

    assert ids.read(ids.MESSAGE, shown) == raw
    assert len(shown) == len(ids.MESSAGE) + ids.WIDTH


@given(raw_ids, raw_ids)
def test_shown_ids_sort_as_their_bytes_do(one: bytes, other: bytes) -> None:
    assert (ids.show(ids.ENDPOINT, one) < ids.show(ids.ENDPOINT, other)) == (one < other)


def test_ids_sort_by_the_order_in_which_they_were_made_within_one_millisecond() -> None:
    made = [ids.new(NOW) for _ in range(10_000)]

    assert made == sorted(set(made))


def test_ids_of_several_threads_are_all_different() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: ids.new(NOW), range(20_000)))

    assert len(set(made)) == len(made)


def test_an_id_tells_its_time() -> None:
    later = NOW + HOUR
    made = ids.new(later)

    assert ids.millis(made) == later // 1000
    assert ids.first_at(later) <= made < ids.first_at(later + 1000)


def test_after_a_clock_was_set_back_a_little_ids_go_on_in_order() -> None:
    before = ids.new(NOW + 2 * HOUR)

    assert ids.new(NOW + 2 * HOUR - 5_000_000) > before


def test_after_a_clock_was_set_back_far_ids_tell_the_clocks_time() -> None:
    ids.new(NOW + 3 * HOUR)

    assert ids.millis(ids.new(NOW)) == NOW // 1000


def test_a_forked_child_makes_other_ids_than_its_parent() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ids.new(NOW + 4 * HOUR))
        os._exit(0)
    ours = ids.new(NOW + 4 * HOUR)
    os.waitpid(child, 0)
    theirs = os.read(reading, 16)
    os.close(reading)
    os.close(writing)

    assert ours != theirs


def test_a_child_forked_while_another_thread_makes_an_id_makes_ids_too() -> None:
    with ids._lock:
        child = os.fork()
        if child == 0:
            os._exit(ids._lock.locked())
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_derived_ids_are_the_same_for_the_same_words_only() -> None:
    assert ids.derive("production", "acme") == ids.derive("production", "acme")
    assert ids.derive("production", "acme") != ids.derive("productionacme", "")


@pytest.mark.parametrize(
    "text", ["", "msg_", "ep_0000000000000000000000", "msg_000000000000000000000", "msg_" + "!" * 22, "msg_" + "z" * 22]
)
def test_what_is_no_id_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not an id"):
        ids.read(ids.MESSAGE, text)
