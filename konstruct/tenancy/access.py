"""Learning that somebody's access ended, the moment the database knows it.

One listener a server process holds one PostgreSQL connection (LISTEN). What it hears it passes to
those who registered; after a lost connection it tells them to look for themselves, since what was
said in between is not said again.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
from django.db import connection

logger = logging.getLogger(__name__)

ACCESS_CHANNEL = "konstruct_access"
NEWS_CHANNEL = "konstruct_news"


class Withdrawn(msgspec.Struct, frozen=True):
    """Whose access ended: everybody for whom each given field is the same."""

    user: str | None = None
    workspace: str | None = None
    session: str | None = None

    def concerns(self, *, user: str, workspace: str, session: str | None) -> bool:
        return (
            self.user in (None, user)
            and self.workspace in (None, workspace)
            and self.session in (None, session)
            and self != Withdrawn()
        )


class News(msgspec.Struct, frozen=True, tag_field="type", tag="conversation"):
    """Something about a conversation that other processes may want to show: a title was found."""

    schema_name: str
    conversation_id: str
    title: str


def post_news(news: News) -> None:
    """Tell every server process, when the transaction one is in commits (and only then)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [NEWS_CHANNEL, msgspec.json.encode(news).decode()])


class Listener:
    """Hears both channels until it is stopped; reconnects with back-off (0.1 to 5 s)."""

    def __init__(
        self,
        *,
        on_withdrawn: Callable[[Withdrawn], None],
        on_news: Callable[[News], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._on_withdrawn = on_withdrawn
        self._on_news = on_news
        self._on_gap = on_gap
        self._ready = asyncio.Event()

    async def wait_ready(self) -> None:
        """Return once it listens for the first time."""
        await self._ready.wait()

    async def run(self) -> None:
        delay = 0.1
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                logger.warning(
                    "Listening for access changes failed (%s); again in %.1f s", type(error).__name__, delay
                )
                self._on_gap()
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
            else:
                delay = 0.1

    async def _listen(self) -> None:
        parameters = connection_parameters()
        async with await psycopg.AsyncConnection.connect(autocommit=True, **parameters) as listening:
            await listening.execute(f"LISTEN {ACCESS_CHANNEL}")
            await listening.execute(f"LISTEN {NEWS_CHANNEL}")
            if self._ready.is_set():
                self._on_gap()
            self._ready.set()
            async for notice in listening.notifies():
                self._hear(notice.channel, notice.payload)

    def _hear(self, channel: str, payload: str) -> None:
        try:
            if channel == ACCESS_CHANNEL:
                self._on_withdrawn(msgspec.json.decode(payload, type=Withdrawn))
            else:
                self._on_news(msgspec.json.decode(payload, type=News))
        except msgspec.DecodeError:
            # Only the database's owner can notify; a newer release may say more than this one knows.
            logger.warning("Not understood on %s", channel)


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
