"""Requests that arrive together are answered together; deadlines and the bound of the queue hold."""

import asyncio
import threading
import time

import pytest

from rubrica.serve.batches import Batches
from rubrica.serve.limits import Refused


class Slow:
    """Doubles texts, and waits until it may; notes the batches."""

    def __init__(self):
        self.batches, self.may = [], threading.Event()

    def __call__(self, texts):
        self.batches.append(list(texts))
        self.may.wait(10)
        return [text * 2 for text in texts]


def run(body, **bounds):
    async def main():
        sizes = []
        batches = Batches(bounds.get("most", 100), bounds.get("deadline", 10), sizes.append)
        batches.start()
        try:
            await body(batches)
        finally:
            batches.close()
        assert batches.waiting == 0
        return sizes

    return asyncio.run(main())


def test_requests_of_one_turn_share_a_batch_and_get_their_own_rows():
    slow = Slow()
    slow.may.set()

    async def body(batches):
        asked = [["a"], ["b", "c"], [], ["d"]]
        rows = await asyncio.gather(*(batches.ask("key", slow, texts) for texts in asked))
        assert rows == [["aa"], ["bb", "cc"], [], ["dd"]]

    assert run(body) == [4]
    assert slow.batches == [["a", "b", "c", "d"]]


def test_while_one_batch_is_answered_the_next_one_gathers():
    slow = Slow()

    async def body(batches):
        first = batches.ask("key", slow, ["a"])
        while not slow.batches:
            await asyncio.sleep(0.001)
        others = [batches.ask(key, slow, [key]) for key in ("x", "y", "x")]
        slow.may.set()
        assert await asyncio.gather(first, *others) == [["aa"], ["xx"], ["yy"], ["xx"]]

    run(body)
    assert slow.batches == [["a"], ["x", "x"], ["y"]]


def test_large_requests_do_not_grow_into_one_batch():
    slow = Slow()
    slow.may.set()

    async def body(batches):
        await asyncio.gather(*(batches.ask("key", slow, ["a"] * 700) for _ in range(3)), batches.ask("b", slow, ["b"]))

    assert run(body, most=9999) == [700, 1, 700, 700]  # who asks for little does not wait for all of them


def test_a_full_queue_is_refused():
    slow = Slow()

    async def body(batches):
        asked = batches.ask("key", slow, ["a"] * 3)
        with pytest.raises(Refused, match="as much work"):
            batches.ask("key", slow, ["a"] * 2)
        slow.may.set()
        await asked
        await batches.ask("key", slow, ["a"] * 4)

    run(body, most=4)


def test_late_requests_are_given_up_and_never_computed():
    slow = Slow()

    async def body(batches):
        asked = [batches.ask("key", slow, ["a"])]
        while not slow.batches:
            await asyncio.sleep(0.001)
        asked.append(batches.ask("key", slow, ["b"]))
        began = time.monotonic()
        for one in asked:
            with pytest.raises(Refused, match="longer than"):
                await one
        assert time.monotonic() - began < 5
        slow.may.set()
        batches.deadline = 10
        assert await batches.ask("key", slow, ["c"]) == ["cc"]

    run(body, deadline=0.1)
    assert slow.batches == [["a"], ["c"]]


def test_a_fault_of_the_model_reaches_all_of_its_batch_and_the_thread_goes_on():
    def broken(texts):
        raise RuntimeError("broken")

    async def body(batches):
        found = await asyncio.gather(*(batches.ask("key", broken, ["a"]) for _ in range(2)), return_exceptions=True)
        assert list(map(str, found)) == ["broken"] * 2
        assert await batches.ask("other", lambda texts: texts, ["a"]) == ["a"]

    run(body)
