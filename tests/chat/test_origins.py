"""Which pages may open a socket (PROTOCOL.md, Handshake: the Origin header)."""

import pytest
from websockets.exceptions import InvalidStatus

from tests.chat.conftest import TakeSeat
from tests.live.client import Client
from tests.live.servers import Server


async def test_the_hosts_own_page(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat(), origin=f"http://localhost:{server.port}") as client:
        await client.quiet()


async def test_a_page_of_the_workspaces_own_host(server: Server, seat: TakeSeat) -> None:
    origin = f"http://acme.localhost:{server.port}"
    async with Client(server, seat(), host="acme.localhost", origin=origin) as client:
        await client.quiet()


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://evil.example:{port}",
        "https://localhost.evil.example",
        "null",
        "http://localhost",
        "http://localhost:1",
        "https://localhost",
        "http://127.0.0.1:{port}",
        "http://acme.localhost:{port}",
        "http://globex.localhost:{port}",
        "http://localhost:{port}@evil.example",
        "http://evil.example#localhost:{port}",
        "chrome-extension://localhost",
    ],
)
async def test_a_foreign_page_is_refused_before_the_socket_opens(
    server: Server, seat: TakeSeat, origin: str
) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        async with Client(server, seat(), auth=None, origin=origin.format(port=server.port)):
            pass
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize(
    "origin", ["", "localhost:{port}", "http://localhost:{port}.evil.example", "http://[::1", "file://"]
)
async def test_what_is_no_origin_is_refused(server: Server, seat: TakeSeat, origin: str) -> None:
    """The server's own WebSocket library may say so with 400 before we are asked."""
    with pytest.raises(InvalidStatus) as refusal:
        async with Client(server, seat(), auth=None, origin=origin.format(port=server.port)):
            pass
    assert refusal.value.response.status_code in (400, 403)


async def test_a_page_of_one_workspace_on_the_host_of_another(server: Server, seat: TakeSeat) -> None:
    """Both are allowed hosts: a wildcard in ALLOWED_HOSTS must not make them one."""
    with pytest.raises(InvalidStatus) as refusal:
        async with Client(
            server, seat(), auth=None, host="acme.localhost", origin=f"http://globex.localhost:{server.port}"
        ):
            pass
    assert refusal.value.response.status_code == 403


async def test_a_host_that_is_not_ours(server: Server, seat: TakeSeat) -> None:
    """Even with its own page as origin: a name that an attacker points here (DNS rebinding)."""
    with pytest.raises(InvalidStatus) as refusal:
        async with Client(
            server, seat(), auth=None, host="evil.example", origin=f"http://evil.example:{server.port}"
        ):
            pass
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/chat/ws/", "/chat/ws", "/chat/ws/a/b", "/ws/x", "/healthz"])
async def test_other_addresses_open_no_socket(server: Server, path: str) -> None:
    from websockets.asyncio.client import connect

    with pytest.raises(InvalidStatus) as refusal:
        await connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None)
    assert refusal.value.response.status_code in (403, 404)
