"""Locks between processes that end with their holder, however it ends: flock(2) on folders that exist anyway.

Nothing is written, so nothing stale can be left behind.
"""

import fcntl
import os
import time
from pathlib import Path


class FolderLock:
    """A lock on `folder`, shared by many or held by one. Not held at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def try_exclusive(self) -> bool:
        """Takes the lock alone, now or not at all. A refusal costs a shared hold (flock(2))."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Takes the lock together with others that share it, now or not at all."""
        return self._try(fcntl.LOCK_SH)

    def exclusive_within(self, seconds: float) -> bool:
        """Takes the lock alone, waiting up to `seconds` for it."""
        return self._within(seconds, fcntl.LOCK_EX)

    def shared_within(self, seconds: float) -> bool:
        """Takes the lock together with others, waiting up to `seconds`. An exclusive hold becomes a shared
        one, though not atomically (flock(2)): another may hold the lock alone in between."""
        return self._within(seconds, fcntl.LOCK_SH)

    def release(self) -> None:
        """Lets go; harmless when not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _within(self, seconds: float, kind: int) -> bool:
        deadline = time.monotonic() + seconds
        while not self._try(kind):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _try(self, kind: int) -> bool:
        if self._descriptor is None:
            self._descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        return True
