# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""A worker thread that always takes the newest items."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

Source = TypeVar("Source", bound=Hashable)
Item = TypeVar("Item")

_log = logging.getLogger(__name__)


class NewestWorker(Generic[Source, Item]):
    """Calls ``work`` on its own thread with the newest items of some sources.

    Of each source at most one item waits, and a newer one takes its place. The source whose turn was longest
    ago comes first, so that all get their share; the waiting ones of its kind go with it.

    Args:
        work: gets the items that were taken together, of each source at most one; what it raises is logged.
        name: of the thread.
        kind: sources for which it gives the same are of one kind; by default each is of its own.

    Attributes:
        deadline: seconds that an item may wait for items of other sources of its kind. A source that missed
            a deadline is not waited for until its next item.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], None],
        name: str,
        kind: Callable[[Source], object] = lambda source: source,
    ) -> None:
        self.deadline = 0.0
        self._work = work
        self._kind = kind
        self._changed = threading.Condition()
        # With the monotonic time since which an item of the source waits.
        self._waiting: dict[Source, tuple[float, Item]] = {}
        self._turns: dict[Source, int] = {}  # of sources that had one, the number of the last
        self._turn = 0
        self._expected: set[Source] = set()
        self._busy = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, source: Source, item: Item) -> bool:
        """Hand over an item at once; True if it took the place of one that nobody will see now."""
        with self._changed:
            replaced = source in self._waiting
            since = self._waiting[source][0] if replaced else time.monotonic()
            self._waiting[source] = since, item
            self._expected.add(source)
            self._changed.notify_all()
        return replaced

    def clear(self) -> list[Source]:
        """Forget all sources, and return when no item is worked on: those of which an item waited."""
        with self._changed:
            forgotten = list(self._waiting)
            self._waiting.clear()
            self._turns.clear()
            self._expected.clear()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy)
        return forgotten

    def finish(self) -> None:
        """Return when no item waits and none is worked on."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy)

    def stop(self) -> None:
        """End the thread, after the items that it works on."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._waiting:
                    self._wait_for_others()
                if self._stopping:
                    return
                items = self._take()
                self._busy = True
            try:
                if items:
                    self._work(items)
            except Exception:  # else the thread would end, and with it all that wait for it
                _log.exception("%s failed", self._thread.name)
            del items  # frames are large: don't hold them while waiting for the next ones
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _wait_for_others(self) -> None:
        """Wait until the next batch is complete, or its first item has waited long enough."""
        since, _ = self._waiting[self._next()]
        left = since + self.deadline - time.monotonic()
        if left > 0 and not self._changed.wait_for(lambda: self._stopping or not self._missing(), left):
            self._expected -= self._missing()

    def _missing(self) -> set[Source]:
        """The sources that the next batch should have, but that have no item."""
        return set(self._of_next_kind(self._expected - self._waiting.keys()))

    def _take(self) -> list[Item]:
        """The items of the next batch; none if they were cleared."""
        sources = self._of_next_kind(self._waiting)
        self._turn += 1
        self._turns.update(dict.fromkeys(sources, self._turn))
        return [self._waiting.pop(source)[1] for source in sources]

    def _next(self) -> Source:
        """Of the sources of which an item waits, the one whose turn it is."""
        return min(self._waiting, key=lambda source: self._turns.get(source, 0))

    def _of_next_kind(self, sources: Iterable[Source]) -> list[Source]:
        """Those of the kind of the source whose turn it is; none if nothing waits."""
        if not self._waiting:
            return []
        kind = self._kind(self._next())
        return [source for source in sources if self._kind(source) == kind]
