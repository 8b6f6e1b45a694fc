"""Who follows which conversation in this process."""

from collections.abc import Callable, Iterator
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


# Called with the close code.
Dismiss = Callable[[int], None]


class Gathering(Struct):
    """The sockets in a room: all of them the conversation's one user's. `dismiss`: what closes each."""

    workspace: WorkspaceRef
    user_id: UUID
    outboxes: list[Outbox]
    dismiss: dict[int, Dismiss]


class Beginning(Struct, frozen=True):
    """An answer begins in a room. `is_new`: so does the user's message that it replies to."""

    room: Room
    reply_id: UUID
    is_new: bool


class Ending(Struct, frozen=True):
    """A conversation was deleted: its room is closed."""

    room: Room


class Hub:
    """The sockets of this process, by conversation. Used on the event loop only."""

    def __init__(self) -> None:
        self._gatherings: dict[Room, Gathering] = {}
        self._watchers: list[list[Beginning | Ending]] = []

    @contextmanager
    def watching(self) -> Iterator[list[Beginning | Ending]]:
        """Which answers begin and which rooms are closed while this lasts: for a socket that is yet to join.

        Listen first, then read: else what begins between the read and `join` would be missed.
        """
        begun: list[Beginning | Ending] = []
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

    def ends(self, room: Room, code: int) -> None:
        """The conversation was deleted: its sockets close with this code, and those who watch are told."""
        for begun in self._watchers:
            begun.append(Ending(room))
        gathering = self._gatherings.get(room)
        for dismiss in tuple(gathering.dismiss.values()) if gathering else ():
            dismiss(code)

    def join(
        self,
        room: Room,
        outbox: Outbox,
        *,
        workspace: WorkspaceRef,
        user_id: UUID,
        dismiss: Dismiss | None = None,
    ) -> None:
        """From now on the outbox hears all that happens in the conversation. `dismiss` closes its socket."""
        gathering = self._gatherings.setdefault(room, Gathering(workspace, user_id, [], {}))
        gathering.outboxes.append(outbox)
        if dismiss is not None:
            gathering.dismiss[id(outbox)] = dismiss

    def leave(self, room: Room, outbox: Outbox) -> None:
        gathering = self._gatherings.get(room)
        if gathering is None:
            return
        if outbox in gathering.outboxes:
            gathering.outboxes.remove(outbox)
        gathering.dismiss.pop(id(outbox), None)
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
