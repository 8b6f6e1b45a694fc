"""Who follows which conversation in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from msgspec import Struct

from chat.outbox import Outbox
from chat.protocol import ServerFrame
from konstruct.tenancy.door import WorkspaceRef


class Room(Struct, frozen=True):
    """A conversation's address within a process: conversation ids are only unique within a workspace."""

    schema_name: str
    conversation_id: UUID


class Gathering(Struct):
    """The sockets in a room: all of them the conversation's one user's."""

    workspace: WorkspaceRef
    user_id: UUID
    outboxes: list[Outbox]


class Beginning(Struct, frozen=True):
    """An answer begins in a room. `is_new`: so does the user's message that it replies to."""

    room: Room
    reply_id: UUID
    is_new: bool


class Hub:
    """The sockets of this process, by conversation. Used on the event loop only."""

    def __init__(self) -> None:
        self._gatherings: dict[Room, Gathering] = {}
        self._watchers: list[list[Beginning]] = []

    @contextmanager
    def watching(self) -> Iterator[list[Beginning]]:
        """Which answers begin while this lasts, here or elsewhere: for a socket that is yet to join.

        Listen first, then read: else what begins between the read and `join` would be missed.
        """
        begun: list[Beginning] = []
        self._watchers.append(begun)
        try:
            yield begun
        finally:
            # By identity: two that heard the same are equal.
            self._watchers = [other for other in self._watchers if other is not begun]

    def begins(self, room: Room, reply_id: UUID, *, is_new: bool) -> None:
        """An answer begins in the conversation: tell those who watch."""
        for begun in self._watchers:
            begun.append(Beginning(room, reply_id, is_new))

    def join(self, room: Room, outbox: Outbox, *, workspace: WorkspaceRef, user_id: UUID) -> None:
        """From now on the outbox hears all that happens in the conversation."""
        gathering = self._gatherings.setdefault(room, Gathering(workspace, user_id, []))
        gathering.outboxes.append(outbox)

    def leave(self, room: Room, outbox: Outbox) -> None:
        gathering = self._gatherings.get(room)
        if gathering is None:
            return
        if outbox in gathering.outboxes:
            gathering.outboxes.remove(outbox)
        if not gathering.outboxes:
            del self._gatherings[room]

    def gathering(self, room: Room) -> Gathering | None:
        return self._gatherings.get(room)

    def rooms(self) -> tuple[Room, ...]:
        """All conversations that somebody here follows."""
        return tuple(self._gatherings)

    def sockets(self, room: Room) -> tuple[Outbox, ...]:
        gathering = self._gatherings.get(room)
        return tuple(gathering.outboxes) if gathering else ()

    def announce(self, room: Room, frame: ServerFrame, *, but: Outbox | None = None) -> None:
        """Send the frame to every socket of the conversation, except `but`."""
        for outbox in self.sockets(room):
            if outbox is not but:
                outbox.push(frame)
