"""Learning that somebody's access ended, the moment the database knows it.

One listener a server process holds one PostgreSQL connection (LISTEN) and passes on what it hears;
after a lost connection it says for how long, since what was said meanwhile is not said again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
from django.db import connection
from psycopg import sql

logger = logging.getLogger(__name__)

ACCESS_CHANNEL = "konstruct_access"


class Withdrawn(msgspec.Struct, frozen=True):
    """Whose access ended: everybody for whom each given field is the same."""

    user: str | None = None
    workspace: str | None = None
    session: str | None = None

    @classmethod
    def read(cls, payload: str) -> "Withdrawn":
        """What a notice says. Something newer than this release understands concerns nobody (empty)."""
        try:
            return msgspec.json.decode(payload, type=cls)
        except msgspec.DecodeError:
            logger.warning("Not understood: a notice on %s", ACCESS_CHANNEL)
            return cls()

    def concerns(self, *, user: str, workspace: str, session: str | None) -> bool:
        return (
            self.user in (None, user)
            and self.workspace in (None, workspace)
            and self.session in (None, session)
            and self != Withdrawn()
        )


class Listener:
    """Hears PostgreSQL's notices until it is cancelled; reconnects with back-off (0.1 to 5 s).

    hear: for each channel, what is called with the payload. on_gap: called with the length (seconds)
    of each time nothing could be heard, once it is over; what was said meanwhile is lost.
    """

    def __init__(self, *, hear: dict[str, Callable[[str], None]], on_gap: Callable[[float], None]) -> None:
        self._hear = hear
        self._on_gap = on_gap
        self._lost_at: float | None = None

    async def run(self) -> None:
        delay = 0.1
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                if self._lost_at is None:
                    self._lost_at = time.monotonic()
                    delay = 0.1
                logger.warning("Notices cannot be heard (%s); again in %.1f s", type(error).__name__, delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)

    async def _listen(self) -> None:
        connecting = psycopg.AsyncConnection.connect(autocommit=True, **connection_parameters())
        async with await connecting as listening:
            for channel in self._hear:
                await listening.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            if self._lost_at is not None:
                gap, self._lost_at = time.monotonic() - self._lost_at, None
                self._on_gap(gap)
            async for notice in listening.notifies():
                self._hear[notice.channel](notice.payload)


def connection_parameters() -> dict[str, Any]:
    """What psycopg needs for a connection of its own, beside Django's."""
    settings = connection.settings_dict
    given = {
        "host": settings["HOST"],
        "port": settings["PORT"],
        "user": settings["USER"],
        "password": settings["PASSWORD"],
        "dbname": settings["NAME"],
    }
    return {
        **{k: v for k, v in given.items() if v},
        "connect_timeout": 5,
        "application_name": "konstruct-listener",
    }
