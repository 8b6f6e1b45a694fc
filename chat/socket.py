"""A Channels consumer for sockets that hear nothing through a channel layer. No ORM, no Django here."""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer


class Socket(AsyncWebsocketConsumer):
    """Messages are handled one after the other, as Channels does it, and nothing else.

    Channels waits in a task of its own for each message, beside one for the layer, and before handling one
    goes to a worker thread and back to close database connections. There are none here: they are the door's.
    """

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        self.scope = scope
        self.channel_layer = None
        self.base_send = send
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            return

    async def dispatch(self, message: dict[str, Any]) -> None:
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            raise ValueError(f"No handler for message type {message['type']}")
        await handler(message)

    def forget_request(self) -> None:
        """Let go of the request's headers, cookies and all: nobody asks once it is known who this is."""
        headers = self.scope["headers"]
        # The server's own list, shared by everybody who passed it on.
        if isinstance(headers, list):
            headers.clear()
