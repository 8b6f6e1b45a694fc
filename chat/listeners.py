"""Who looks at their list of conversations in this process."""

from uuid import UUID

from msgspec import Struct

from chat.outbox import Outbox
from chat.protocol import ServerFrame


class Shelf(Struct, frozen=True):
    """The list of one user in one workspace."""

    schema_name: str
    user_id: UUID


class Listeners:
    """The sockets that hear of changes in a list. Used on the event loop only."""

    def __init__(self) -> None:
        self._outboxes: dict[Shelf, list[Outbox]] = {}

    def join(self, shelf: Shelf, outbox: Outbox) -> None:
        self._outboxes.setdefault(shelf, []).append(outbox)

    def leave(self, shelf: Shelf, outbox: Outbox) -> None:
        present = self._outboxes.get(shelf, [])
        if outbox in present:
            present.remove(outbox)
        if not present:
            self._outboxes.pop(shelf, None)

    def tell(self, shelf: Shelf, frame: ServerFrame) -> None:
        for outbox in tuple(self._outboxes.get(shelf, ())):
            outbox.push(frame)

    def tell_all(self, frame: ServerFrame) -> None:
        for shelf in tuple(self._outboxes):
            self.tell(shelf, frame)

    def __len__(self) -> int:
        return sum(map(len, self._outboxes.values()))
