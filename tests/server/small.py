"""`python -m tests.server.small`: konstruct.server with a small application instead of Konstruct.

Prints its port. A text frame says what to do: `size N` sends N characters, `wide N` such of three bytes,
`fail` raises, `forever` never ends, not even with its socket; `memory` tells what Python holds, in bytes,
`applications` how many run. Over HTTP it answers with the path.
"""

import asyncio
import gc
import sys
import tracemalloc
from typing import Any

from konstruct import server as konstruct_server
from konstruct.server import Server

_running = 0


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    global _running
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})
        return
    _running += 1
    try:
        await _socket(receive, send)
    finally:
        _running -= 1


async def _socket(receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        what, _, number = message["text"].partition(" ")
        if what in ("size", "wide"):
            await send({"type": "websocket.send", "text": ("x" if what == "size" else "漢") * int(number)})
        elif what == "fail":
            raise RuntimeError("as asked")
        elif what == "forever":
            await asyncio.Event().wait()
        elif what == "memory":
            gc.collect()
            await send({"type": "websocket.send", "text": str(tracemalloc.get_traced_memory()[0])})
        elif what == "applications":
            await send({"type": "websocket.send", "text": str(_running)})


def main() -> None:
    konstruct_server.PING_EVERY, konstruct_server.PING_WITHIN = 0.4, 0.6
    if "--memory" in sys.argv:
        tracemalloc.start()
        konstruct_server.PING_EVERY = 60.0
    server = Server(
        application,
        host="127.0.0.1",
        port=0,
        on_started=lambda: asyncio.get_event_loop().call_later(0.1, tell),
    )
    server.application_close_timeout = 0.5

    def tell() -> None:
        print(server.listening_addresses[0][1], flush=True)

    server.run()


if __name__ == "__main__":
    main()
