"""What one server process owns: its sockets, its turns, and the tasks beside them.

Started before the first socket is served (`manage.py serve`, or the ASGI lifespan under another
server) and stopped with the process.
"""

import asyncio
import logging
from uuid import UUID

from django.conf import settings

from agents import llm
from chat.desk import Desk
from chat.hub import Hub, Room
from chat.limits import RateLimit
from chat.presence import Presence
from chat.protocol import Close, ConversationChanged
from konstruct.tenancy.access import Listener, News
from konstruct.tenancy.door import close_door, in_shared
from konstruct.tenancy.sockets import still_holds

logger = logging.getLogger(__name__)

# How often all sockets' sessions and memberships are looked at again (seconds), beside the notices
# that come at once: sessions also end by mere time.
RECHECK_SECONDS = 300.0


class Process:
    """One a server process; `the_process()` gives it."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.desk = Desk(self.hub)
        self.presence = Presence(connections_per_user=settings.CONNECTIONS_PER_USER)
        self.messages = RateLimit(settings.MESSAGES_PER_MINUTE)
        self._tasks: list[asyncio.Task[None]] = []
        self._recheck = asyncio.Event()
        self.stopping = False

    async def start(self) -> None:
        """Begin to hear of access changes; load litellm beside. Idempotent."""
        if self._tasks:
            return
        listener = Listener(on_withdrawn=self.presence.withdraw, on_news=self._news, on_gap=self._recheck.set)
        self._tasks = [
            asyncio.create_task(listener.run(), name="access-listener"),
            asyncio.create_task(self._recheck_access(), name="access-recheck"),
        ]
        llm.warm()

    async def stop(self, *, grace: float) -> None:
        """Close all sockets (1012), give running answers `grace` seconds, keep what they have."""
        self.stopping = True
        self.presence.dismiss_all(Close.RESTART)
        await self.desk.drain(grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await llm.close()
        close_door()

    def _news(self, news: News) -> None:
        conversation_id = UUID(news.conversation_id)
        self.hub.announce(
            Room(news.schema_name, conversation_id),
            ConversationChanged(conversation_id=conversation_id, title=news.title),
        )

    async def _recheck_access(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RECHECK_SECONDS):
                    await self._recheck.wait()
            except TimeoutError:
                pass  # time for the regular look
            self._recheck.clear()
            try:
                verdicts = await in_shared(still_holds, identities=self.presence.identities())
            except Exception:
                # The database is away: nothing is known, so nobody is sent off; looked at again soon.
                logger.exception("Access could not be checked again")
                await asyncio.sleep(1.0)
                self._recheck.set()
            else:
                self.presence.dismiss_identities({who for who, holds in verdicts.items() if not holds})


_process: Process | None = None


def the_process() -> Process:
    """The one of this process, made on first use."""
    global _process
    if _process is None:
        _process = Process()
    return _process
