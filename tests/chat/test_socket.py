"""chat.socket: Channels' contract without its detours."""

import asyncio
from typing import Any

import pytest

from chat.socket import Socket


class Slow(Socket):
    """Notes what it hears; each message takes a turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    async def connect(self) -> None:
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await asyncio.sleep(0)
        if text_data == "forget":
            self.forget_request()
        self.heard.append(text_data or "binary")

    async def disconnect(self, code: int) -> None:
        self.heard.append(f"closed {code}")


async def run(consumer: Socket, *messages: dict[str, Any], **scope: Any) -> list[dict[str, Any]]:
    """What the consumer sends when it gets these messages. It must end with the last."""
    waiting, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await consumer({"type": "websocket", "headers": [], **scope}, receive, send)
    assert not waiting
    return sent


CONNECT = {"type": "websocket.connect"}
GONE = {"type": "websocket.disconnect", "code": 1001}


async def test_one_message_after_the_other_until_the_socket_is_gone() -> None:
    consumer = Slow()
    texts = [{"type": "websocket.receive", "text": text} for text in ("a", "b", "c")]
    sent = await run(consumer, CONNECT, *texts, {"type": "websocket.receive", "bytes": b"x"}, GONE)
    assert [message["type"] for message in sent] == ["websocket.accept"]
    assert consumer.heard == ["a", "b", "c", "binary", "closed 1001"]


async def test_what_it_does_not_know_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"chat\.shout"):
        await run(Slow(), CONNECT, {"type": "chat.shout"})


async def test_the_requests_headers_are_let_go_for_everybody() -> None:
    headers = [(b"host", b"x"), (b"cookie", b"sessionid=secret")]
    await run(Slow(), CONNECT, {"type": "websocket.receive", "text": "forget"}, GONE, headers=headers)
    assert headers == []
