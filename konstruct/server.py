"""daphne, with what it lacks: back-pressure, all close codes of PROTOCOL.md (konstruct.websocket), a way to
end, and no work each second for each connection that is idle.

Importing this makes asyncio the reactor of the process (twisted), so only `manage.py serve` does.
"""

import asyncio
import logging
import traceback
from collections.abc import Mapping
from functools import partial
from typing import Any

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server as DaphneServer
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from konstruct.websocket import Inbox, SocketProtocol

logger = logging.getLogger(__name__)

# Seconds; a peer that does not answer a ping in time is gone (PROTOCOL.md leaves the figures open).
PING_EVERY, PING_WITHIN = 20, 30


def _note_failure(event: Mapping[str, Any]) -> None:
    """What fails inside Twisted, which daphne sends nowhere: one line, since peers can cause some of it."""
    failure = event.get("log_failure")
    if failure is not None:
        frames = traceback.extract_tb(failure.getTracebackObject())
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
        logger.error("%s in a connection, at %s", failure.type.__name__, place)


class Server(DaphneServer):
    """Listens on one address, or on the listening socket `inherited`; `on_started` is called on the loop
    once it does."""

    def __init__(
        self, application: Any, *, host: str, port: int, on_started: Any, inherited: int | None = None
    ) -> None:
        where = {"host": host, "port": port} if inherited is None else {"file_descriptor": inherited}
        super().__init__(
            application=application,
            endpoints=list(build_endpoint_description_strings(**where)),
            signal_handlers=False,
            ping_interval=PING_EVERY,
            ping_timeout=PING_WITHIN,
            ready_callable=self._ready,
            server_name="konstruct",
        )
        self._on_started = on_started
        self.failed_to_listen = False
        # Connections that are still to be looked at in this round.
        self._round: list[Any] = []

    def _ready(self) -> None:
        globalLogPublisher.addObserver(_note_failure)  # type: ignore[arg-type]
        self.ws_factory.protocol = SocketProtocol
        # A frame beyond daphne's own limit (1 MiB) gets its close frame, not a cut connection.
        # allowNullOrigin, which this call would turn off again: konstruct.origin refuses it, with 403.
        self.ws_factory.setProtocolOptions(failByDrop=False, allowNullOrigin=True)
        SocketProtocol.configure(self.ws_factory, ping_every=PING_EVERY, ping_within=PING_WITHIN)
        self._on_started()

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """As daphne's, but `send` waits while the peer does not read: a slow reader holds one buffer of
        64 KiB here and not all that was ever meant for it."""
        if message["type"] != "websocket.send" or not isinstance(protocol, SocketProtocol):
            await super().handle_reply(protocol, message)
            return
        if (text := message.get("text")) and protocol.state != protocol.STATE_CONNECTING:
            protocol.send_text(text)
        else:
            await super().handle_reply(protocol, message)
        if protocol.writable is not None:
            await protocol.writable

    # --- connections and their applications -----------------------------------------------------------

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Inbox | None:
        """Run the application for a connection; None: the connection has gone."""
        if protocol not in self.connections:
            return None
        inbox = Inbox()
        scope.setdefault("asgi", {"version": "3.0"})
        running = self.application(scope=scope, receive=inbox.get, send=partial(self.handle_reply, protocol))
        task = asyncio.get_event_loop().create_task(running, name="application")
        self.connections[protocol]["application_instance"] = task
        task.add_done_callback(partial(self._application_ended, protocol))
        return inbox

    def _application_ended(self, protocol: Any, task: "asyncio.Task[None]") -> None:
        details = self.connections.get(protocol, {})
        details.pop("application_instance", None)
        if (timer := details.pop("overdue", None)) is not None:
            timer.cancel()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("Exception inside application: %s", error, exc_info=error)
            if "disconnected" not in details:
                protocol.handle_exception(error)
        if "disconnected" in details:
            self.connections.pop(protocol, None)

    def protocol_disconnected(self, protocol: Any) -> None:
        # Told of some twice, the second time when they are forgotten already.
        if (details := self.connections.get(protocol)) is None or "disconnected" in details:
            return
        super().protocol_disconnected(protocol)
        if "application_instance" in details:
            seconds = self.application_close_timeout
            details["overdue"] = asyncio.get_event_loop().call_later(seconds, self._overdue, protocol)
        else:
            del self.connections[protocol]

    def _overdue(self, protocol: Any) -> None:
        """Its connection has been gone for a while: its application goes too."""
        task = self.connections.get(protocol, {}).get("application_instance")
        if task is not None:
            logger.warning("An application took too long to shut down and was killed (%r)", protocol)
            task.cancel()

    def kill_all_applications(self) -> Deferred[Any]:
        """The reactor stops: so do they, first."""
        tasks = [d["application_instance"] for d in self.connections.values() if "application_instance" in d]
        for task in tasks:
            task.cancel()
        return Deferred.fromFuture(asyncio.gather(*tasks, return_exceptions=True))

    def application_checker(self) -> None:
        """Nothing: daphne looks at all connections each second for what is told here when it happens."""

    def timeout_checker(self) -> None:
        """Let each connection look at its time limits twice in the time they have, some of them at a time."""
        every = PING_EVERY / 2
        pause = min(1.0, every)
        if not self._round:
            self._round = list(self.connections)
            self._portion = -int(-len(self._round) * pause // every)
        for protocol in self._round[: self._portion]:
            if protocol in self.connections:
                protocol.check_timeouts()
        del self._round[: self._portion]
        reactor.callLater(pause, self.timeout_checker)  # type: ignore[arg-type]

    # --- listening and ending -------------------------------------------------------------------------

    def listen_success(self, port: Any) -> Any:
        """Hand the port on, which daphne drops here, to `close_door`."""
        super().listen_success(port)
        return port

    def listen_error(self, failure: Any) -> None:
        self.failed_to_listen = True
        super().listen_error(failure)

    def close_door(self) -> None:
        """Accept no new connections; those there are stay."""
        for listener in self.listeners:
            listener.addCallback(lambda port: port.stopListening())

    def end(self) -> None:
        """Leave `run`."""
        if reactor.running:
            reactor.stop()  # type: ignore[misc]
