"""What konstruct.server makes of daphne: frames whole, the dead found, nothing left, little held."""

import asyncio
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.live.servers import ROOT, environment


class Small:
    """tests.server.small as a process. `said`: its log, once it has ended."""

    def __init__(self, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.small", *options],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.said = ""

    def end(self) -> None:
        self._process.terminate()
        self.said = self._process.communicate(timeout=10)[1]

    def connect(self, **options: object) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}/", proxy=None, **options)  # type: ignore[arg-type]


@pytest.fixture
def small() -> Iterator[Small]:
    running = Small()
    yield running
    running.end()
    assert "Traceback" not in running.said


async def told(one: ClientConnection, what: str) -> str:
    await one.send(what)
    async with asyncio.timeout(10):
        return str(await one.recv())


async def applications(small: Small, number: int) -> bool:
    """Whether so many run within three seconds, with that of the socket that asks."""
    async with small.connect() as one:
        for _ in range(60):
            if await told(one, "applications") == str(number):
                return True
            await asyncio.sleep(0.05)
    return False


async def test_frames_of_every_length_arrive_whole(small: Small) -> None:
    """Around the lengths at which a frame's head changes, and far beyond what a socket takes at once."""
    async with small.connect(max_size=None) as one:
        for size in (1, 125, 126, 127, 65_535, 65_536, 5_000_000, 3):
            assert await told(one, f"size {size}") == "x" * size
        for size in (41, 42, 21_845, 21_846, 1_000_000):
            assert await told(one, f"wide {size}") == "漢" * size


async def test_frames_stay_in_order_while_the_peer_reads_slowly(small: Small) -> None:
    sizes = [400_000, 10, 70_000, 1, 300_000, 2, 3, 200_000, 5]
    async with small.connect(max_size=None, max_queue=1) as one:
        for size in sizes:
            await one.send(f"size {size}")
        received = []
        for _ in sizes:
            await asyncio.sleep(0.02)
            received.append(len(await one.recv()))
    assert received == sizes


async def test_who_answers_pings_stays(small: Small) -> None:
    async with small.connect() as one:
        await asyncio.sleep(2.5)
        assert await told(one, "size 1") == "x"


async def test_who_does_not_is_let_go(small: Small) -> None:
    """A peer that is there for TCP and dead above it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", small.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(5):
        try:
            rest = await reader.read()
        except ConnectionResetError:
            rest = b"\x89\x00"
    assert rest == b"\x89\x00", "one ping"
    writer.close()
    assert await applications(small, 1)


async def test_an_application_that_fails_closes_its_socket_and_says_so() -> None:
    small = Small()
    try:
        async with small.connect() as one, small.connect() as other:
            await one.send("fail")
            with pytest.raises(ConnectionClosed) as closed:
                await one.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011
            assert await told(other, "applications") == "1"
    finally:
        small.end()
    assert "RuntimeError: as asked" in small.said


async def test_an_application_that_outlives_its_socket_is_ended() -> None:
    small = Small()
    try:
        async with small.connect() as one:
            await one.send("forever")
        assert await applications(small, 1)
    finally:
        small.end()
    assert "took too long" in small.said


async def test_pages_are_served_beside(small: Small) -> None:
    def get(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{small.port}{path}", timeout=5) as response:
            return bytes(response.read())

    async with small.connect() as one:
        for number in range(3):
            assert await asyncio.to_thread(get, f"/page/{number}") == f"/page/{number}".encode()
        assert await told(one, "size 1") == "x"


async def test_a_peer_that_resets_leaves_nothing(small: Small) -> None:
    async with small.connect() as one:
        raw = one.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        await one.send("size 3000000")
        one.transport.abort()
    assert await applications(small, 1)


# Python's memory of one idle socket, with a small application: 9.3 KB when this was written, 18.7 KB with
# what daphne, autobahn and asyncio.Queue keep otherwise. It is counted, not sampled, so it hardly varies.
IDLE_BYTES = 10_500


async def test_an_idle_socket_is_small() -> None:
    small = Small("--memory")
    sockets = 200
    try:
        async with AsyncExitStack() as stack, small.connect() as one:

            async def open_(number: int) -> None:
                for _ in range(number):
                    other = await stack.enter_async_context(small.connect())
                    await told(other, "size 1")

            await open_(20)
            before = int(await told(one, "memory"))
            await open_(sockets)
            each = (int(await told(one, "memory")) - before) / sockets
    finally:
        small.end()
    print(f"\n{each:.0f} bytes an idle socket")
    assert each < IDLE_BYTES
