"""Chapter 10: frames that wait for a client that reads slowly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import prop

from wsref.network.send_queue import MAX_WRITE, SendQueue
from wsref.protocol.errors import ConnectionClosed


def queue_of(*frames, max_size=1 << 30):
    queue = SendQueue(max_size)
    for frame in frames:
        assert queue.append(frame)
    return queue


def everything(queue, max_size=1 << 30):
    """All bytes in it, taken one write after another."""
    taken = []
    while queue.items:
        taken.append(bytes(queue.take(max_size)))
    assert queue.size == 0
    return taken


class TestMemory:
    """Most connections never have a frame that waits"""

    def test_a_queue_keeps_no_deque_before_its_first_frame_and_shares_nothing_afterwards(self):
        first, second = SendQueue(100), SendQueue(100)
        assert first.items is second.items
        assert first.append(b"hello")
        assert (list(first.items), list(second.items), list(SendQueue(100).items)) == ([b"hello"], [], [])


class TestAppend:
    """The queue is bounded in bytes"""

    @pytest.mark.parametrize("size", [0, 10, 11, 1000])
    def test_the_first_frame_is_taken_whatever_its_size(self, size):
        queue = SendQueue(10)
        assert queue.append(bytes(size))
        assert queue.size == size

    def test_the_limit_itself_is_taken_and_one_more_byte_is_not(self):
        queue = queue_of(b"1234", max_size=10)
        assert not queue.append(b"5678901")
        assert queue.size == 4
        assert queue.append(b"567890")
        assert not queue.append(b"!")
        assert everything(queue) == [b"1234567890"]

    def test_bytes_that_wait_before_the_queue_count(self):
        queue = SendQueue(10)
        assert not queue.append(b"12345", unsent=6)
        assert queue.append(b"12345", unsent=5)
        assert not queue.append(b"1", unsent=5)
        assert queue.size == 5

    def test_a_close_is_taken_beyond_the_limit_and_nothing_after_it(self):
        queue = queue_of(b"1234567890", max_size=10)
        assert not queue.closed
        assert queue.append(b"close", last=True)
        assert queue.closed
        with pytest.raises(ConnectionClosed, match="a Close has been sent"):
            queue.append(b"")
        assert everything(queue) == [b"1234567890close"]

    def test_nothing_is_taken_after_it_was_closed(self):
        queue = queue_of(b"before")
        queue.close()
        with pytest.raises(ConnectionClosed):
            queue.append(b"after")
        assert everything(queue) == [b"before"]


class TestTake:
    """Small frames are joined, large ones are cut"""

    def test_frames_are_joined_up_to_the_size(self):
        queue = queue_of(b"12", b"345", b"6")
        assert queue.take(5) == b"12345"
        assert queue.size == 1
        assert queue.take(5) == b"6"

    def test_a_frame_that_does_not_fit_whole_waits(self):
        assert everything(queue_of(b"12", b"345", b"6"), 4) == [b"12", b"3456"]

    def test_writes_of_joined_frames_have_at_most_64_kib(self):
        assert MAX_WRITE == 65_536
        half = MAX_WRITE // 2
        assert [len(write) for write in everything(queue_of(*[bytes(half)] * 3))] == [MAX_WRITE, half]
        assert [len(write) for write in everything(queue_of(bytes(half), bytes(half + 1)))] == [half, half + 1]

    def test_a_frame_is_returned_as_it_is_without_a_copy(self):
        frame = bytes(MAX_WRITE + 1)
        assert queue_of(frame, b"next").take(1 << 30) is frame

    def test_a_part_of_a_large_frame_is_no_copy_either(self):
        frame = b"12345678"
        queue = queue_of(frame)
        assert all(queue.take(4).obj is frame for _ in range(2))

    def test_a_frame_of_just_the_size_leaves_nothing_behind(self):
        queue = queue_of(b"12345")
        assert queue.take(5) == b"12345"
        assert not queue.items

    def test_a_frame_that_is_too_large_is_cut_and_its_rest_comes_first(self):
        queue = queue_of(b"12345678", b"9")
        assert bytes(queue.take(3)) == b"123"
        assert (queue.size, len(queue.items)) == (6, 2)
        assert [bytes(queue.take(3)) for _ in range(2)] == [b"456", b"789"]
        assert queue.size == 0

    @prop
    @given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 30))
    def test_the_bytes_come_in_order_and_no_write_is_too_large(self, frames, max_size):
        writes = everything(queue_of(*frames), max_size)
        assert b"".join(writes) == b"".join(frames)
        assert all(len(write) <= max_size for write in writes)
