"""How much one user may ask of one server process. No Django here."""

import time
from collections.abc import Callable, Hashable


class RateLimit:
    """A token bucket for each key: `per_minute` at once, refilled evenly. 0 means no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(per_minute)
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def wait(self, key: Hashable) -> float:
        """Take one. 0.0: granted; else the seconds until it would be, and nothing was taken."""
        if not self._capacity:
            return 0.0
        now = self._clock()
        level, then = self._buckets.get(key, (self._capacity, now))
        rate = self._capacity / 60.0
        level = min(self._capacity, level + (now - then) * rate)
        if level < 1.0:
            self._buckets[key] = (level, now)
            return (1.0 - level) / rate
        self._buckets[key] = (level - 1.0, now)
        if len(self._buckets) > 10_000:
            self._forget_full(now, rate)
        return 0.0

    def _forget_full(self, now: float, rate: float) -> None:
        """A bucket that is full again is the same as none."""
        self._buckets = {
            key: (level, then)
            for key, (level, then) in self._buckets.items()
            if level + (now - then) * rate < self._capacity
        }


class Counter:
    """At most `limit` at the same time for each key. 0 means no limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[Hashable, int] = {}

    def enter(self, key: Hashable) -> bool:
        """Take a place; False where all are taken."""
        count = self._counts.get(key, 0)
        if self._limit and count >= self._limit:
            return False
        self._counts[key] = count + 1
        return True

    def leave(self, key: Hashable) -> None:
        """Give a place back."""
        count = self._counts.get(key, 0) - 1
        if count > 0:
            self._counts[key] = count
        else:
            self._counts.pop(key, None)
