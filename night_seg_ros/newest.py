"""A worker thread that always takes the newest item."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestWorker(Generic[Item]):
    """Calls ``work`` on its own thread, one item at a time.

    At most one item waits, and a newer one takes its place.

    Args:
        work: what to do with an item; it must not raise.
        name: of the thread.
    """

    def __init__(self, work: Callable[[Item], None], name: str) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._waiting: list[Item] = []  # empty or one item
        self._busy = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> bool:
        """Hand over an item at once; True if it took the place of one that nobody will see now."""
        with self._changed:
            replaced = bool(self._waiting)
            self._waiting = [item]
            self._changed.notify_all()
        return replaced

    def clear(self) -> bool:
        """Forget the item that waits, and return when none is worked on; True if one waited."""
        with self._changed:
            forgotten, self._waiting = bool(self._waiting), []
            self._changed.wait_for(lambda: not self._busy)
        return forgotten

    def stop(self) -> None:
        """End the thread, after the item that it works on."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                item = self._waiting.pop()
                self._busy = True
            self._work(item)
            del item  # a frame is large: don't hold it while waiting for the next one
            with self._changed:
                self._busy = False
                self._changed.notify_all()
