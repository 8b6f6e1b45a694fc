"""Several server processes behind one address: `manage.py serve --processes N`.

Each gets a listening socket of its own on that address (SO_REUSEPORT: the kernel spreads new connections
over them by a hash of both ends). They are opened here and inherited, so that a process that is started
again takes over the connections that waited for it. What the processes tell each other goes through
REDIS_URL or, where none is given, an embedded valkey that lives as long as they do.
"""

import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from konstruct.embedded import checks
from konstruct.embedded.processes import ENDING_SIGNALS, end_all
from konstruct.embedded.services import Recipe, Service, child_environment
from konstruct.embedded.valkey import embedded_valkey
from konstruct.settings import BASE_DIR, Environment

_GLANCE_SECONDS = 0.1
# Their own grace for running answers, and a little more (PROTOCOL.md: up to 30 s).
_DRAIN_SECONDS = 32.0
_GRACE_SECONDS = 1.2


class Several:
    """`count` servers on host and port. `run` returns when asked to end, or raises StartFailure."""

    def __init__(
        self, count: int, *, host: str, port: int, settings: Environment, say: Callable[[str], object]
    ) -> None:
        self._count = count
        self._host = host
        self._port = port
        self._settings = settings
        self._say = say
        self._servers: list[Service] = []
        self._valkey: Service | None = None
        self._asked: signal.Signals | None = None
        self._hurried = False

    def run(self) -> None:
        for number in ENDING_SIGNALS:
            signal.signal(number, self._signalled)
        with ExitStack() as stack:
            listening = [stack.enter_context(one) for one in self._listen()]
            try:
                self._start(listening)
                while self._asked is None:
                    self._tend()
                    time.sleep(_GLANCE_SECONDS)
                self._end()
            finally:
                end_all([server.child for server in self._servers], grace=_GRACE_SECONDS)
                if self._valkey is not None:
                    end_all([self._valkey.child], grace=_GRACE_SECONDS)

    def _listen(self) -> list[socket.socket]:
        # Alone first: with SO_REUSEPORT another server of this user on the same address would go unnoticed.
        checks.check_port(self._host, self._port)
        family, kind, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
        sockets = []
        for _ in range(self._count):
            one = socket.socket(family, kind)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(address)
            sockets.append(one)
        for one in sockets:
            one.listen(1024)
        return sockets

    def _start(self, listening: list[socket.socket]) -> None:
        url = self._settings.REDIS_URL
        if not url:
            recipe, url = embedded_valkey(self._settings.home, self._port, None)
            self._valkey = Service(recipe, child_environment(), BASE_DIR)
        environment = child_environment(REDIS_URL=url)
        for number, one in enumerate(listening, start=1):
            arguments: list[str | Path] = [BASE_DIR / "manage.py", "serve", "--fd", str(one.fileno())]
            recipe = Recipe(
                f"Server process {number}",
                arguments,
                None,
                ending=signal.SIGINT,
                restarts=True,
                inherits=(one.fileno(),),
            )
            self._servers.append(Service(recipe, environment, BASE_DIR))

    def _tend(self) -> None:
        for service in [*self._servers, *([self._valkey] if self._valkey else [])]:
            if news := service.tend():
                self._say(news)

    def _end(self) -> None:
        """SIGTERM: let running answers finish; SIGINT, then or at first: end now."""
        children = [server.child for server in self._servers]
        if self._asked is not signal.SIGTERM:
            return
        for child in children:
            child.send(signal.SIGTERM)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while any(child.exit_code() is None for child in children):
            if self._hurried or time.monotonic() > deadline:
                return
            time.sleep(_GLANCE_SECONDS)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if self._asked is None:
            self._asked = signal.Signals(number)
        elif number != signal.SIGTERM:
            self._hurried = True


def supported() -> bool:
    """Whether this system can share an address between processes."""
    return hasattr(socket, "SO_REUSEPORT") and sys.platform != "darwin"
