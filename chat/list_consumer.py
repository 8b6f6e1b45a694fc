"""The socket of a user's list of conversations (docs/architecture.md, "The list"): it tells what changes,
whoever changes it: another tab, another device, a channel, a job. Thin: no ORM, no litellm.
"""

from typing import Any, ClassVar

from chat import protocol
from chat.handshake import PortalConsumer
from chat.hub import Beginning, Ending
from chat.listeners import Shelf
from chat.protocol import Code, ProtocolError
from konstruct.tenancy.sockets import Identity


class ListConsumer(PortalConsumer):
    """One socket of one user in one workspace."""

    shelf: Shelf | None = None

    async def _find(self, identity: Identity) -> None:
        """Nothing: the list itself is read over HTTP, once the socket hears of what changes in it."""

    def _enter(
        self, identity: Identity, found: None, begun: list[Beginning | Ending], ref: str | None
    ) -> None:
        self.shelf = Shelf(identity.workspace.schema_name, identity.user_id)
        self.outbox.push(protocol.ListReady(ref=ref))
        self.process.listeners.join(self.shelf, self.outbox)

    def _leave(self) -> None:
        if self.shelf is not None:
            self.process.listeners.leave(self.shelf, self.outbox)

    async def _on_auth(self, frame: protocol.Auth) -> None:
        await self._wrong(ProtocolError(Code.BAD_FRAME, "This socket is authenticated already.", frame.ref))

    _handlers: ClassVar[dict[type, Any]] = {
        protocol.Auth: _on_auth,
        protocol.Ping: PortalConsumer._on_ping,
    }
