"""What `bin/run` runs: brings everything up in order, looks after it, and takes all of it down again.

    python -m konstruct.embedded.launch

Ends with 0 when asked to, with nothing left behind: at Ctrl-C and SIGHUP within 5 s, at SIGTERM once
running answers are finished (30 s at most). Ends with 1 and a sentence on stderr where it cannot start or
go on.
"""

import http.client
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from konstruct.embedded import checks, model
from konstruct.embedded.failure import StartFailure, tail
from konstruct.embedded.locks import FolderLock
from konstruct.embedded.postgres import EmbeddedPostgres
from konstruct.embedded.processes import ENDING_SIGNALS, Child, end_all
from konstruct.embedded.services import Recipe, Service, child_environment
from konstruct.settings import BASE_DIR, Environment, env

# Together with PostgreSQL's own 4 s at most 5 s, as promised; usually all is over in half a second.
_GRACE_SECONDS = 1.5
_START_SECONDS = 90
_PREPARE_SECONDS = 3600
_OTHER_START_SECONDS = 300
_WARM_UP_SECONDS = 15
_GLANCE_SECONDS = 0.2
_DRAIN_SECONDS = 33
_SERVER = "The server"


class Interrupted(BaseException):
    """Somebody wants this process to end; `gently`: once running answers are finished."""

    def __init__(self, *, gently: bool) -> None:
        super().__init__()
        self.gently = gently


def say(text: str) -> None:
    """A line for the person at the terminal. A terminal that was closed is no reason to stop halfway."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = None  # nor to fail again when Python flushes it at its end


class Launcher:
    """One run of Konstruct on this machine."""

    def __init__(self, settings: Environment) -> None:
        self._env = settings
        self._home = settings.home
        self._running = FolderLock(self._home.path)
        self._starting = FolderLock(self._home.logs)
        self._postgres = EmbeddedPostgres(self._home) if settings.uses_embedded_postgres else None
        self._services: list[Service] = []
        self._preparation: Child | None = None
        self._model_port: int | None = None

    def run(self) -> None:
        """Starts everything and looks after it until interrupted. Errors: StartFailure."""
        began = time.monotonic()
        try:
            self._check()
            self._claim_home()
            self._bring_up()
            self._announce(time.monotonic() - began)
            while True:
                self._tend()
                time.sleep(_GLANCE_SECONDS)
        except Interrupted as interrupted:
            if interrupted.gently:
                self._let_answers_finish()
            raise
        finally:
            self._take_down()

    # --- up --------------------------------------------------------------------------------------

    def _check(self) -> None:
        checks.check_port(self._env.HOST, self._env.PORT)
        if self._env.REDIS_URL:
            checks.check_redis(self._env.REDIS_URL)
        if not self._env.uses_embedded_postgres:
            checks.check_database(self._env.database(), self._env.DATABASE_URL)
        if self._env.uses_embedded_model:
            model.weights()

    def _claim_home(self) -> None:
        """One launcher a data folder; with Redis between them several, of which one starts at a time."""
        home = self._home
        try:
            home.logs.mkdir(parents=True, exist_ok=True)
            claimed = self._running.try_shared() if self._env.REDIS_URL else self._running.try_exclusive()
            if not claimed:
                raise StartFailure(
                    f"Another Konstruct runs on the data folder {home.path}, and without REDIS_URL only one "
                    "can: end it, set KONSTRUCT_HOME to another folder, or give both the same REDIS_URL."
                )
            if not self._starting.try_exclusive():
                say("Another Konstruct is just starting on this data folder: waiting for it.")
                if not self._starting.exclusive_within(_OTHER_START_SECONDS):
                    raise StartFailure(
                        f"Another Konstruct has been starting on {home.path} for too long: end it, or set "
                        "KONSTRUCT_HOME to another folder."
                    )
        except OSError as error:
            raise StartFailure(
                f"The data folder {home.path} cannot be used ({error.strerror}): set KONSTRUCT_HOME to a "
                "folder that this user may write to."
            ) from error

    def _bring_up(self) -> None:
        if self._env.uses_embedded_model:
            say("Starting the local model ...")
            self._model_port = checks.free_port()
            arguments = ["-m", "konstruct.embedded.model", str(self._model_port)]
            self._serve(Recipe("The local model", arguments, self._log("model"), restarts=True))
        if self._postgres is not None:
            say("Starting PostgreSQL ...")
            self._postgres.start()
        say("Preparing the database ...")
        self._prepare()
        self._starting.release()
        say("Starting the server ...")
        manage = BASE_DIR / "manage.py"
        # SIGINT, to the server: end now. (At a SIGTERM it lets running answers finish first.)
        self._serve(Recipe(_SERVER, [manage, "serve"], self._log("serve"), ending=signal.SIGINT))
        self._wait_for(_SERVER, self._env.PORT, "/healthz", _START_SECONDS)
        # Not before: side by side both would start slower, and it is the server that people wait for.
        self._serve(
            Recipe("The job worker", [manage, "worker"], self._log("worker"), signal.SIGINT, restarts=True)
        )
        if self._model_port is not None:
            self._wait_for("The local model", self._model_port, "/health", _START_SECONDS)

    def _prepare(self) -> None:
        """Migrates, and makes the demo workspace on the first start."""
        self._preparation = Child(
            "prepare",
            [sys.executable, str(BASE_DIR / "manage.py"), "prepare"],
            environment=self._children_environment(),
            folder=BASE_DIR,
            log=self._log("prepare"),
            spoken=True,
        )
        code = self._preparation.wait(_PREPARE_SECONDS)
        if code != 0:
            log = self._log("prepare")
            raise StartFailure(f"{tail(log, 1).removeprefix('CommandError: ')}\nLog: {log}")

    def _wait_for(self, name: str, port: int, path: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        host = self._host_to_ask() if port == self._env.PORT else "127.0.0.1"
        while _get(host, port, path)[0] != 200:
            self._tend()
            if time.monotonic() > deadline:
                raise StartFailure(
                    f"{name} does not answer on port {port} after {seconds} s. Logs: {self._home.logs}"
                )
            time.sleep(0.05)

    # --- in between ------------------------------------------------------------------------------

    def _tend(self) -> None:
        for service in self._services:
            if news := service.tend():
                say(news)
        if self._postgres is not None and not self._postgres.is_running():
            log = self._home.postgres_log
            raise StartFailure(f"PostgreSQL ended unexpectedly. The end of {log}:\n{tail(log)}")

    def _announce(self, seconds: float) -> None:
        host = self._host_to_ask()
        address = f"http://{f'[{host}]' if ':' in host else host}:{self._env.PORT}/"
        lines = ["", f"Konstruct is ready after {seconds:.1f} s:  {address}"]
        lines += [f"  Sign in   {account}" for account in _accounts(self._home.first_sign_in)]
        lines += [f"  Data      {self._home.path}", "  Ctrl-C to stop", ""]
        say("\n".join(lines))
        if problems := self._problems():
            say("Not everything can be reached yet: " + " ".join(problems))

    def _problems(self) -> list[str]:
        """What /readyz misses once everything had time to warm up: a hosted model, for one."""
        deadline = time.monotonic() + _WARM_UP_SECONDS
        while True:
            status, body = _get(self._host_to_ask(), self._env.PORT, "/readyz", timeout=5)
            if status == 200:
                return []
            if time.monotonic() > deadline:
                return _complaints(body) or [f"/readyz answers with status {status}."]
            self._tend()
            time.sleep(1)

    # --- down ------------------------------------------------------------------------------------

    def _let_answers_finish(self) -> None:
        """The server drains (PROTOCOL.md: up to 30 s) while all it needs still runs. Ctrl-C cuts it short."""
        server = next((s.child for s in self._services if s.child.name == _SERVER), None)
        if server is None or server.exit_code() is not None:
            return
        hurry = threading.Event()
        signal.signal(signal.SIGINT, lambda _number, _frame: hurry.set())
        say("Running answers may finish, for up to 30 s; Ctrl-C ends them now.")
        server.send(signal.SIGTERM)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while server.exit_code() is None and time.monotonic() < deadline and not hurry.is_set():
            time.sleep(_GLANCE_SECONDS)

    def _take_down(self) -> None:
        # Whoever is impatient now would only leave something behind.
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        children = [service.child for service in self._services]
        if self._preparation is not None:
            children.append(self._preparation)
        try:
            end_all(children, grace=_GRACE_SECONDS)
        finally:
            if self._postgres is not None:
                self._postgres.stop()
            self._starting.release()
            self._running.release()

    # --- helpers ---------------------------------------------------------------------------------

    def _serve(self, recipe: Recipe) -> None:
        self._services.append(Service(recipe, self._children_environment(), BASE_DIR))

    def _children_environment(self) -> dict[str, str]:
        additions = {"KONSTRUCT_HOME": str(self._home.path)}
        if self._model_port is not None:
            additions["KONSTRUCT_LOCAL_MODEL_URL"] = f"http://127.0.0.1:{self._model_port}/v1"
        return child_environment(**additions)

    def _log(self, name: str) -> Path:
        # Launchers that share a data folder differ in their port.
        return self._home.logs / f"{name}-{self._env.PORT}.log"

    def _host_to_ask(self) -> str:
        """Where a browser on this machine finds the server: "any address" is none to go to."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._env.HOST, self._env.HOST)


def _get(host: str, port: int, path: str, *, timeout: float = 2) -> tuple[int, bytes]:
    """Status and body of a GET; status 0 where nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(65_536)
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _complaints(body: bytes) -> list[str]:
    """What the answer of /readyz finds missing, with the setting that is about it."""
    settings = {"database": "DATABASE_URL", "layer": "REDIS_URL", "model": "KONSTRUCT_API_BASE"}
    try:
        answer = json.loads(body)
    except ValueError:
        return []
    return [
        f"{answer[name]['message']} (See {setting}.)"
        for name, setting in settings.items()
        if name in answer and not answer[name]["ok"]
    ]


def _accounts(path: Path) -> list[str]:
    """The demo workspace's accounts as lines; none where it was not made here."""
    if not path.exists():
        return []
    return [f"{a['email']}  {a['password']}  ({a['role']})" for a in json.loads(path.read_text())]


def _interrupt(number: int, _frame: FrameType | None) -> None:
    for each in ENDING_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    # Ctrl-C comes from a person who waits; SIGTERM from a system that gives time.
    raise Interrupted(gently=number == signal.SIGTERM)


def main(launch: Callable[[], None]) -> None:
    for number in ENDING_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        launch()
    except Interrupted:
        say("Konstruct has stopped.")
    except StartFailure as failure:
        sys.exit(f"Konstruct cannot run. {failure}")


if __name__ == "__main__":
    main(Launcher(env).run)
