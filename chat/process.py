"""What one server process owns: its sockets, its turns, and the tasks beside them.

Started before the first socket is served (`manage.py serve`, or the ASGI lifespan under another
server) and stopped with the process.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError

from agents import llm
from chat import answers, lookups, news
from chat.context import Contexts
from chat.desk import Desk
from chat.following import Following
from chat.hub import Hub, Room
from chat.limits import RateLimit
from chat.listeners import Listeners, Shelf
from chat.presence import Presence
from chat.protocol import Close, ConversationChanged, Gone, Listed, Missed
from chat.relay import Relay
from chat.settlement import DATABASE_AWAY
from chat.turns import Turns
from konstruct.tenancy.access import ACCESS_CHANNEL, Listener, Withdrawn
from konstruct.tenancy.door import close_door, in_shared, in_workspace
from konstruct.tenancy.sockets import still_holds
from konstruct.tenancy.workspaces import active_workspaces
from memory import embedder

logger = logging.getLogger(__name__)

# How often all sockets' sessions and memberships are looked at again (seconds), beside the notices
# that come at once: sessions also end by mere time.
RECHECK_SECONDS = 300.0
# Added to the length of a gap in what is heard, since it begins before it is noticed (seconds).
GAP_MARGIN = 5.0


class Process:
    """One a server process; `the_process()` gives it."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.listeners = Listeners()
        self.relay = Relay(settings.REDIS_URL) if settings.REDIS_URL else None
        self.turns = Turns()
        self.contexts = Contexts(settings.REDIS_URL)
        self.desk = Desk(self.hub, self.turns, self.relay, self.contexts)
        self.following = Following(self.hub, self.turns, self.relay)
        self.presence = Presence(connections_per_user=settings.CONNECTIONS_PER_USER)
        self.messages = RateLimit(settings.MESSAGES_PER_MINUTE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False
        self.stopping = False

    async def start(self) -> None:
        """Begin to hear of what happens elsewhere; end what a dead process left; load litellm beside.

        Idempotent.
        """
        if self._started:
            return
        self._started = True
        listener = Listener(hear={ACCESS_CHANNEL: self._access, news.CHANNEL: self._news}, on_gap=self._gap)
        self._spawn(listener.run(), "listener")
        self._spawn(self._recheck_access(), "access-recheck")
        self._spawn(self._sweep(), "sweep")
        llm.warm()
        embedder.warm()

    async def stop(self, *, grace: float) -> None:
        """Close all sockets (1012), give running answers `grace` seconds, keep what they have."""
        self.stopping = True
        self.presence.dismiss_all(Close.RESTART)
        await self.desk.drain(grace)
        await self.following.stop()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.relay is not None:
            await self.relay.close()
        await self.contexts.close()
        await llm.close()
        # It waits for threads and closes connections, which is no work for the loop's own thread.
        await asyncio.to_thread(close_door)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A task of the process failed (%s)", task.get_name(), exc_info=error)

    # --- what is heard from elsewhere ---------------------------------------------------------------

    def _access(self, payload: str) -> None:
        self.presence.withdraw(Withdrawn.read(payload))

    def _news(self, payload: str) -> None:
        heard = news.read(payload)
        if heard is None:
            return
        room = Room(heard.schema_name, heard.conversation_id)
        if isinstance(heard, news.TitleFound):
            self.hub.announce(
                room, ConversationChanged(conversation_id=heard.conversation_id, title=heard.title)
            )
        elif isinstance(heard, news.ConversationListed):
            self.listeners.tell(Shelf(heard.schema_name, heard.user_id), Listed(conversation=heard.item))
        elif isinstance(heard, news.ConversationGone):
            self.hub.ends(room, Close.NO_CONVERSATION)
            gone = self.contexts.hot.drop_conversation(heard.schema_name, heard.conversation_id)
            self._spawn(gone, "window-gone")
            self.listeners.tell(
                Shelf(heard.schema_name, heard.user_id), Gone(conversation_id=heard.conversation_id)
            )
        elif isinstance(heard, news.StopAsked):
            self.desk.halt(room, heard.reply_id)
        elif heard.process != news.THIS_PROCESS:
            is_new = heard.message_id is not None
            self.hub.begins(room, heard.reply_id, is_new=is_new)
            self.join_in(room, heard.reply_id, tell_message=is_new)

    def join_in(self, room: Room, reply_id: UUID, *, tell_message: bool) -> None:
        """An answer began that this conversation's sockets have not all been told of: they are."""
        if self.hub.gathering(room) is not None:
            self._spawn(
                self.following.join_in(room=room, reply_id=reply_id, tell_message=tell_message), "join-in"
            )

    def _gap(self, seconds: float) -> None:
        self._spawn(self._after_gap(seconds), "after-gap")

    async def _after_gap(self, seconds: float) -> None:
        """Nothing was heard for so long: look for what was said, first of all whose access has ended."""
        await self._check_access()
        await self._catch_up(seconds + GAP_MARGIN)

    async def _catch_up(self, seconds: float) -> None:
        """Tell each conversation's sockets of the answers that began in the last `seconds`, or that it is
        gone; and whoever looks at a list to fetch it anew."""
        self.listeners.tell_all(Missed())
        for room in self.hub.rooms():
            gathering = self.hub.gathering(room)
            if gathering is None:
                continue
            try:
                missed = await in_workspace(
                    gathering.workspace,
                    lookups.answers_since,
                    conversation_id=room.conversation_id,
                    user_id=gathering.user_id,
                    seconds=seconds,
                )
                if missed is None:
                    self.hub.ends(room, Close.NO_CONVERSATION)
                    continue
                for reply_id in missed:
                    await self.following.join_in(room=room, reply_id=reply_id, tell_message=True)
            except DatabaseError as error:
                # Of this one only: its workspace was deleted, and its sockets are about to close.
                logger.warning("A conversation cannot be caught up (%s)", type(error).__name__)

    # --- what is done by itself -----------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Once, at the start: end the answers that processes now dead have left (`chat.jobs` goes on)."""
        for workspace in await in_shared(active_workspaces):
            for message_id in await in_workspace(workspace, answers.interrupt_stale):
                logger.warning("Answer %s of %s was left by a process that died", message_id, workspace.slug)

    async def _recheck_access(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            await self._check_access()

    async def _check_access(self) -> None:
        """Send off everybody whose access has ended; waits for a database that is away."""
        while True:
            try:
                verdicts = await in_shared(still_holds, identities=self.presence.identities())
                break
            except DATABASE_AWAY as error:
                logger.warning("Access cannot be checked (%s)", type(error).__name__)
                await asyncio.sleep(1.0)
        self.presence.dismiss_identities({who for who, holds in verdicts.items() if not holds})


_process: Process | None = None


def the_process() -> Process:
    """The one of this process, made on first use."""
    global _process
    if _process is None:
        _process = Process()
    return _process
