"""The ASGI application: pages over HTTP, conversations over WebSocket, start and end of the process."""

import os
from typing import Any

from konstruct.pages import get_pages

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "konstruct.settings")
_pages = get_pages()

# Only now: these need Django's apps.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import re_path  # noqa: E402

from chat.consumer import ChatConsumer  # noqa: E402
from chat.list_consumer import ListConsumer  # noqa: E402
from chat.process import the_process  # noqa: E402
from konstruct.origin import SameOrigin  # noqa: E402

# How long running answers may go on once the process is asked to end (PROTOCOL.md: up to 30 s).
GRACE_SECONDS = 30.0


async def _no_such_socket(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008})


async def _lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Start and stop with the server (ASGI lifespan protocol; daphne has none, see `manage.py serve`)."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await the_process().start()
            await send({"type": "lifespan.startup.complete"})
        else:
            await the_process().stop(grace=GRACE_SECONDS)
            await send({"type": "lifespan.shutdown.complete"})
            return


_sockets = SameOrigin(
    URLRouter(
        [
            re_path(r"^chat/list/?$", ListConsumer.as_asgi()),
            re_path(r"^chat/ws/(?P<conversation_id>[^/]+)/?$", ChatConsumer.as_asgi()),
            re_path("", _no_such_socket),  # type: ignore[arg-type]
        ]
    )
)

application = ProtocolTypeRouter({"http": _pages, "websocket": _sockets, "lifespan": _lifespan})
