"""Pages and API of two workspaces, asked at the same time of one server: each request is in its own."""

import asyncio

import httpx

from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.people import Place, Seat
from tests.live.servers import Server

ROUNDS, AT_ONCE = 12, 24


async def test_hundreds_of_requests_side_by_side(
    server: Server, backstage: Backstage, acme: Place, globex: Place
) -> None:
    seats = [backstage.seat(place) for place in (acme, globex) * 3]
    for seat in seats:
        async with Client(server, seat) as client:
            await client.ask(f"of {seat.person.place.slug} {seat.conversation}")
    sessions = {seat: await asyncio.to_thread(backstage.session, seat.person) for seat in seats}

    async def ask(http: httpx.AsyncClient, seat: Seat) -> None:
        cookies = {"Cookie": f"sessionid={sessions[seat]}"}
        answer = await http.get(
            f"{server.url}/api/conversations/{seat.conversation}/messages", headers=cookies
        )
        assert answer.status_code == 200, answer.text
        texts = {message["text"] for message in answer.json()["items"]}
        assert texts == {f"of {seat.person.place.slug} {seat.conversation}"}
        other = next(s for s in seats if s.person.place != seat.person.place)
        answer = await http.get(f"{server.url}/api/conversations/{other.conversation}", headers=cookies)
        assert answer.status_code == 404, answer.text

    async with httpx.AsyncClient(timeout=30) as http:
        for _ in range(ROUNDS):
            await asyncio.gather(*(ask(http, seats[number % len(seats)]) for number in range(AT_ONCE)))
