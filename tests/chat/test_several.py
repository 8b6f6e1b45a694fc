"""Several server processes behind one port (`manage.py serve --processes N`), with their own valkey."""

import asyncio
import contextlib
import signal
from collections import Counter

import psutil

from tests.chat.conftest import Serve
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.people import Place
from tests.live.servers import Server

CONNECTIONS = 60


def workers(server: Server) -> list[psutil.Process]:
    """The processes that serve, without their parent and the valkey between them."""
    found = []
    for process in psutil.Process(server.pid).children():
        # One that was killed a moment ago is still listed.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "--fd" in process.cmdline():
                found.append(process)
    return found


def sockets_of(process: psutil.Process, port: int) -> int:
    return sum(c.laddr.port == port and c.status == "ESTABLISHED" for c in process.net_connections("tcp"))


async def test_sockets_are_spread_and_conversations_shared(
    serve: Serve, backstage: Backstage, acme: Place
) -> None:
    server: Server = await serve(KONSTRUCT_PROCESSES="2")
    assert len(workers(server)) == 2
    seats = [backstage.seat(acme, "lorem-60-40") for _ in range(CONNECTIONS // 10)]
    clients = [Client(server, seats[number % len(seats)]) for number in range(CONNECTIONS)]
    await asyncio.gather(*(client.__aenter__() for client in clients))
    held = [sockets_of(process, server.port) for process in workers(server)]
    assert sum(held) == CONNECTIONS
    # By a hash of the connection: a fair coin stays within this but once in 100,000.
    assert min(held) >= CONNECTIONS * 0.2, held

    for client in clients[: len(seats)]:
        await client.say("go")
    answers = await asyncio.gather(*(client.answer() for client in clients))
    for number in range(len(seats)):
        of_one = {answer.text for answer in answers[number :: len(seats)]}
        assert len(of_one) == 1 and Counter(of_one.pop().split()).total() == 60
    await asyncio.gather(*(client.close() for client in clients))


async def test_a_process_that_is_killed_is_replaced_and_its_port_stays_open(
    serve: Serve, backstage: Backstage, acme: Place
) -> None:
    server: Server = await serve(KONSTRUCT_PROCESSES="2")
    before = workers(server)
    before[0].kill()
    async with asyncio.timeout(60):
        while len(now := workers(server)) < 2 or before[0] in now:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    seats = [backstage.seat(acme) for _ in range(8)]
    for seat in seats:
        # One whose connection waits for the new process is served by it.
        async with asyncio.timeout(60), Client(server, seat) as client:
            assert (await client.ask("still here?")).text == "still here?"


async def test_sigterm_lets_answers_finish_in_all_of_them_and_leaves_nothing(
    serve: Serve, backstage: Backstage, acme: Place
) -> None:
    server: Server = await serve(KONSTRUCT_PROCESSES="2")
    everybody = psutil.Process(server.pid).children(recursive=True)
    seats = [backstage.seat(acme, "lorem-60-30") for _ in range(6)]
    clients = [Client(server, seat) for seat in seats]
    ids = []
    for client in clients:
        await client.__aenter__()
        await client.say("go")
    for client in clients:
        ids.append(await client.written())
    server.signal(signal.SIGTERM)
    assert await asyncio.gather(*(client.closed() for client in clients)) == [1012] * len(clients)
    assert await asyncio.to_thread(server.wait, 20) == 0
    for seat, message_id in zip(seats, ids, strict=True):
        assert backstage.message(seat, message_id)["status"] == "complete"
    _, left = psutil.wait_procs(everybody, timeout=5)
    assert not left
