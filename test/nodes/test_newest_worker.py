# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The worker that takes the newest items: batches, turns, deadlines."""

from __future__ import annotations

import threading
import time

import pytest

from night_seg_ros.nodes.newest_worker import NewestWorker

TIMEOUT = 20.0  # seconds
NEVER = 3600.0  # seconds; a worker that waits for it fails the test


class Work:
    """Notes the batches that it gets, and holds each until the test lets it go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._begun, self._go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, batch: list[str]) -> None:
        self.batches.append(batch)
        self._begun.release()
        assert self._go.acquire(timeout=TIMEOUT)

    def begun(self) -> list[str]:
        """The next batch, as soon as it is begun."""
        assert self._begun.acquire(timeout=TIMEOUT)
        return self.batches[-1]

    def end(self) -> None:
        self._go.release()


def test_the_newest_item_is_taken() -> None:
    work = Work()
    worker: NewestWorker[str, str] = NewestWorker(work, "test")
    assert not worker.offer("a", "1")
    assert work.begun() == ["1"]
    assert not worker.offer("a", "2")  # waits
    assert worker.offer("a", "3")  # takes the place of 2
    assert worker.offer("a", "4")
    work.end()
    assert work.begun() == ["4"]
    work.end()
    worker.finish()
    worker.stop()
    assert work.batches == [["1"], ["4"]]


def test_clear_forgets_what_waits_and_waits_for_what_runs() -> None:
    work = Work()
    worker: NewestWorker[str, str] = NewestWorker(work, "test")
    worker.offer("a", "1")
    work.begun()
    worker.offer("b", "2")
    threading.Timer(0.1, work.end).start()
    assert worker.clear() == ["b"]
    assert worker.clear() == []
    worker.stop()
    assert work.batches == [["1"]]


def test_finish_waits_for_all_that_is_there() -> None:
    seen: list[str] = []

    def work(batch: list[str]) -> None:
        time.sleep(0.1)
        seen.extend(batch)

    worker: NewestWorker[str, str] = NewestWorker(work, "test")
    worker.offer("a", "1")
    worker.offer("b", "2")
    worker.finish()
    assert seen == ["1", "2"]
    worker.stop()


def test_a_failure_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def work(batch: list[str]) -> None:
        if batch == ["bad"]:
            raise RuntimeError("this one is bad")
        seen.extend(batch)

    worker: NewestWorker[str, str] = NewestWorker(work, "test")
    for item in ("bad", "good"):
        worker.offer("a", item)
        worker.finish()
    worker.stop()
    assert seen == ["good"]
    assert "test failed" in caplog.text and "this one is bad" in caplog.text


def test_the_source_whose_turn_was_longest_ago_comes_first() -> None:
    work = Work()
    worker: NewestWorker[str, str] = NewestWorker(work, "test")
    worker.offer("fast", "f0")
    taken = [*work.begun()]
    worker.offer("fast", "f1")
    worker.offer("slow", "s0")
    for number in range(2, 6):  # the fast one never stops
        worker.offer("fast", f"f{number}")
        work.end()
        taken += work.begun()
    work.end()
    worker.clear()
    worker.stop()
    assert taken == ["f0", "s0", "f3", "f4", "f5"]


def test_sources_in_step_share_alike() -> None:
    """Two turns for each four items."""
    work = Work()
    worker: NewestWorker[str, str] = NewestWorker(work, "test")
    worker.offer("first", "first")
    work.begun()
    taken = []
    for _ in range(8):
        for source in "abcd":
            worker.offer(source, source)
        for _ in range(2):
            work.end()
            taken += work.begun()
    work.end()
    worker.clear()
    worker.stop()
    assert {source: taken.count(source) for source in "abcd"} == dict.fromkeys("abcd", 4)


def test_sources_of_one_kind_are_taken_together() -> None:
    work = Work()
    worker: NewestWorker[str, str] = NewestWorker(work, "test", kind=lambda source: source[0])
    worker.offer("small", "0")
    work.begun()
    for source in ("small", "large", "little", "second"):
        worker.offer(source, source)
    work.end()
    assert work.begun() == ["large", "little"]
    work.end()
    assert work.begun() == ["small", "second"]
    work.end()
    worker.stop()


@pytest.fixture
def pair() -> tuple[NewestWorker[str, str], Work]:
    """A worker whose sources are all of a kind, and have all been seen."""
    work = Work()
    worker: NewestWorker[str, str] = NewestWorker(work, "test", kind=lambda source: None)
    for source in "ab":
        worker.offer(source, "0")
        work.begun()
        work.end()
    worker.finish()
    return worker, work


def test_an_item_waits_for_the_others(pair: tuple[NewestWorker[str, str], Work]) -> None:
    worker, work = pair
    worker.deadline = NEVER
    worker.offer("a", "a1")
    worker.offer("a", "a2")
    worker.offer("b", "b1")
    assert work.begun() == ["a2", "b1"]
    work.end()
    worker.stop()


def test_the_deadline_ends_the_wait_and_a_late_source_is_not_waited_for_again(
    pair: tuple[NewestWorker[str, str], Work],
) -> None:
    worker, work = pair
    worker.deadline = 0.05
    worker.offer("a", "a1")
    assert work.begun() == ["a1"]
    worker.deadline = NEVER
    work.end()
    worker.offer("a", "a2")  # b is silent: nobody waits for it
    assert work.begun() == ["a2"]
    worker.offer("b", "b1")  # it is back
    work.end()
    worker.offer("a", "a3")
    assert work.begun() == ["b1", "a3"]
    work.end()
    worker.stop()


def test_a_wait_ends_when_the_worker_is_cleared_or_stopped(
    pair: tuple[NewestWorker[str, str], Work],
) -> None:
    worker, work = pair
    worker.deadline = NEVER
    worker.offer("a", "a1")
    assert worker.clear() == ["a"]
    worker.offer("a", "a2")  # b is forgotten
    assert work.begun() == ["a2"]
    work.end()
    worker.finish()
    worker.offer("b", "b2")
    worker.stop()  # while it waits for a
    assert work.batches[-1] == ["a2"]
