"""Who follows which conversation in this process, and the turns that run in it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from chat.outbox import Outbox
from chat.protocol import ServerFrame

if TYPE_CHECKING:
    from chat.turns import Turn


class Room(Struct, frozen=True):
    """A conversation's address within a process: conversation ids are only unique within a workspace."""

    schema_name: str
    conversation_id: UUID


class Hub:
    """The sockets and running turns of this process, by conversation. Used on the event loop only."""

    def __init__(self) -> None:
        self._sockets: dict[Room, list[Outbox]] = {}
        self._turns: dict[Room, Turn] = {}

    def join(self, room: Room, outbox: Outbox) -> None:
        """From now on the outbox hears all that happens in the conversation."""
        self._sockets.setdefault(room, []).append(outbox)

    def leave(self, room: Room, outbox: Outbox) -> None:
        outboxes = self._sockets.get(room, [])
        if outbox in outboxes:
            outboxes.remove(outbox)
        if not outboxes:
            self._sockets.pop(room, None)

    def sockets(self, room: Room) -> Iterator[Outbox]:
        return iter(tuple(self._sockets.get(room, ())))

    def announce(self, room: Room, frame: ServerFrame, *, but: Outbox | None = None) -> None:
        """Send the frame to every socket of the conversation, except `but`."""
        for outbox in self.sockets(room):
            if outbox is not but:
                outbox.push(frame)

    def turn(self, room: Room) -> "Turn | None":
        """The turn that runs in this conversation, in this process."""
        return self._turns.get(room)

    def turns(self) -> "tuple[Turn, ...]":
        return tuple(self._turns.values())

    def take_turn(self, room: Room, turn: "Turn") -> bool:
        """Note the running turn. False: there is one already."""
        return self._turns.setdefault(room, turn) is turn

    def set_turn(self, room: Room, turn: "Turn") -> None:
        """Note the turn that the database has let begin; whatever was noted before it has ended there."""
        self._turns[room] = turn

    def end_turn(self, room: Room, turn: "Turn") -> None:
        if self._turns.get(room) is turn:
            del self._turns[room]

    @property
    def socket_count(self) -> int:
        return sum(map(len, self._sockets.values()))
