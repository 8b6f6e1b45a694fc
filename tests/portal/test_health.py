"""/healthz and /readyz: outside of everything else, in time, and not a way to hammer what they ask."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from chat.portal import health

ModelServer = Callable[[int, float], tuple[str, list[str]]]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "readiness", health.Readiness())


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """`model_server(status, delay)` answers every GET so; gives its URL and the list of what was asked."""
    servers: list[HTTPServer] = []

    def start(status: int, delay: float = 0.0) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{self.path} {self.headers.get('Authorization')}")
                time.sleep(delay)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/v1", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_healthz_asks_nothing_of_anybody(client: Client) -> None:
    # No `db` fixture: a query would fail. A cookie and an unknown host change nothing.
    client.cookies["sessionid"] = "some-session"
    response = client.get("/healthz", headers={"host": "10.0.0.1"})
    assert response.status_code == 200 and response.json() == {"ok": True}
    assert response["Cache-Control"] == "no-store" and not response.cookies


@pytest.mark.django_db
def test_readyz_names_each_part(client: Client, settings: Settings, model_server: ModelServer) -> None:
    settings.KONSTRUCT_API_BASE, asked = model_server(200, 0.0)
    settings.KONSTRUCT_API_KEY = "k"
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/readyz", headers={"host": "10.0.0.1"})
    body = response.json()
    assert response.status_code == 200 and body["ok"] and len(queries) == 0
    assert {name: body[name]["ok"] for name in ("database", "layer", "model")} == dict.fromkeys(
        ("database", "layer", "model"), True
    )
    assert asked == ["/v1/models Bearer k"]


def test_many_questions_are_one_to_the_provider(
    client: Client, settings: Settings, model_server: ModelServer, db: None
) -> None:
    settings.KONSTRUCT_API_BASE, asked = model_server(200, 0.0)
    for _ in range(5):
        assert client.get("/readyz").status_code == 200
    assert len(asked) == 1


@pytest.mark.parametrize(("status", "word"), [(401, "refuses the key"), (500, "fails")])
def test_a_model_that_cannot_serve(
    client: Client, settings: Settings, model_server: ModelServer, db: None, status: int, word: str
) -> None:
    settings.KONSTRUCT_API_BASE, _ = model_server(status, 0.0)
    response = client.get("/readyz")
    assert response.status_code == 503 and word in response.json()["model"]["message"]
    assert response.json()["database"]["ok"]


def test_a_model_that_hangs_is_given_up_in_time(
    client: Client, settings: Settings, model_server: ModelServer, db: None
) -> None:
    settings.KONSTRUCT_API_BASE, _ = model_server(200, 5.0)
    begun = time.monotonic()
    response = client.get("/readyz")
    assert time.monotonic() - begun < 4
    assert response.status_code == 503 and not response.json()["model"]["ok"]


def test_a_hosted_model_is_not_asked(client: Client, settings: Settings, db: None) -> None:
    settings.KONSTRUCT_API_BASE = ""
    assert client.get("/readyz").json()["model"] == {
        "ok": True,
        "message": "The model is hosted: not checked.",
    }


def test_an_unreachable_database_and_layer(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"host": "127.0.0.1", "port": "1", "user": "u", "dbname": "secret-name"}
    monkeypatch.setattr(health, "connection_parameters", lambda: nowhere)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    settings.KONSTRUCT_API_BASE = "http://127.0.0.1:1/v1"
    response = client.get("/readyz")
    body = response.json()
    assert response.status_code == 503 and not body["ok"]
    assert [body[name]["ok"] for name in ("database", "layer", "model")] == [False, False, False]
    assert "secret-name" not in response.content.decode() and "127.0.0.1" not in response.content.decode()
