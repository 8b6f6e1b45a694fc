"""The state check, in Zulip's manner: after a test, what its clients were told is what a fresh fetch gives.

Every `Client` that was made for a seat is noted; `check` asks a server that still runs for the
conversation over HTTP, as a page does that is opened now.
"""

import random
from typing import Any

import httpx

from tests.live.backstage import Backstage
from tests.live.client import Client, Frame
from tests.live.people import Seat
from tests.live.servers import Server

# Of a test with hundreds of conversations, so many.
AT_MOST = 20


def told(frames: list[Frame]) -> dict[str, dict[str, Any]]:
    """By message, what these frames say of it; of several, the last."""
    known: dict[str, dict[str, Any]] = {}
    for frame in frames:
        if frame["type"] == "done":
            known.setdefault(frame["message_id"], {}).update(
                text=frame["text"], status=frame["status"], memories=frame.get("memories", [])
            )
        elif frame["type"] == "message":
            known.setdefault(frame["message_id"], {}).update(text=frame["text"], role=frame["role"])
        elif frame["type"] == "saved":
            known.setdefault(frame["message_id"], {}).update(role="user")
            known.setdefault(frame["reply_id"], {}).update(role="assistant")
        elif frame["type"] == "feedback":
            known.setdefault(frame["message_id"], {}).update(feedback=frame["value"])
    return known


def fetched(server: Server, seat: Seat, session: str) -> dict[str, dict[str, Any]] | None:
    """All messages of the conversation by id; None where this person may not (any more) read it."""
    found: dict[str, dict[str, Any]] = {}
    cursor: str | None = None
    with httpx.Client(cookies={"sessionid": session}, base_url=server.url, timeout=10) as http:
        while True:
            query = {"all": "true", "size": "100", **({"cursor": cursor} if cursor else {})}
            answer = http.get(f"/api/conversations/{seat.conversation}/messages", params=query)
            if answer.status_code in (401, 403, 404):
                return None
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found |= {message["id"]: message for message in page["items"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def check(clients: list[Client], backstage: Backstage) -> int:
    """Compare; returns how many conversations were. Those without a running server are passed over."""
    frames: dict[Seat, list[Frame]] = {}
    server_of: dict[Seat, Server] = {}
    for client in clients:
        # A test with a database of its own compares with that one itself.
        if client.seat is None or client.conversation != client.seat.conversation or client.server.is_apart:
            continue
        frames.setdefault(client.seat, []).extend(client.frames)
        if client.server.runs:
            server_of[client.seat] = client.server
    seats = [seat for seat in frames if seat in server_of and told(frames[seat])]
    seats = random.Random(0).sample(seats, min(AT_MOST, len(seats)))
    compared = 0
    for seat in seats:
        stored = fetched(server_of[seat], seat, backstage.session(seat.person))
        if stored is None:
            continue
        compared += 1
        for message_id, said in told(frames[seat]).items():
            assert message_id in stored, f"{message_id} was told and is not there: {said}"
            there = {name: stored[message_id][name] for name in said}
            assert there == said, f"message {message_id}: told {said}, stored {there}"
    return compared
