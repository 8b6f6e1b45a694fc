import asyncio
import logging
import signal
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from chat.process import the_process
from konstruct.embedded import several
from konstruct.embedded.failure import StartFailure
from konstruct.embedded.several import Several
from konstruct.leaving import leave
from konstruct.settings import env

logger = logging.getLogger(__name__)

# On SIGTERM running answers may go on this long (PROTOCOL.md); on SIGINT a person waits at a terminal.
TERM_GRACE = 30.0
INT_GRACE = 0.0


class Command(BaseCommand):
    help = (
        "Serve pages and sockets with daphne, on HOST and PORT, in one process or several."
        " SIGTERM drains, SIGINT ends at once."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="the address to listen on (HOST)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="the port to listen on (PORT)")
        parser.add_argument(
            "--processes",
            type=int,
            default=env.processes,
            metavar="N",
            help=f"server processes behind that port (KONSTRUCT_PROCESSES; {env.processes})",
        )
        # What `Several` gives each of its processes: a socket that listens already.
        parser.add_argument("--fd", type=int, default=None, help=SUPPRESS)

    def handle(
        self, *args: Any, host: str, port: int, processes: int, fd: int | None, **options: Any
    ) -> None:
        if processes < 1:
            raise CommandError("--processes takes a number from 1 on.")
        if processes == 1 or fd is not None:
            self._serve(host, port, fd)
            return
        if not several.supported():
            raise CommandError(
                "This system cannot share a port between processes: set KONSTRUCT_PROCESSES=1."
            )
        try:
            Several(processes, host=host, port=port, settings=env, say=self.stdout.write).run()
        except StartFailure as failure:
            raise CommandError(str(failure)) from failure

    def _serve(self, host: str, port: int, inherited: int | None) -> None:
        from konstruct.server import Server

        self._ending: asyncio.Task[None] | None = None
        self._failed = False
        self._server = Server(
            import_string(settings.ASGI_APPLICATION),
            host=host,
            port=port,
            inherited=inherited,
            on_started=lambda: asyncio.get_event_loop().create_task(self._started()),
        )
        self._server.run()
        if self._failed:
            raise CommandError("The server did not end in order; its log says why.")
        if self._server.failed_to_listen:
            raise CommandError(f"Port {port} on {host} cannot be listened on: set PORT.")
        leave()

    async def _started(self) -> None:
        loop = asyncio.get_running_loop()
        for number, grace in ((signal.SIGTERM, TERM_GRACE), (signal.SIGINT, INT_GRACE)):
            loop.add_signal_handler(number, self._end, grace)
        await the_process().start()

    def _end(self, grace: float) -> None:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._stop(grace))
        elif grace == INT_GRACE:
            the_process().desk.hurry()

    async def _stop(self, grace: float) -> None:
        self._server.close_door()
        try:
            await the_process().stop(grace=grace)
            # The close frames are in the sockets' buffers; give them a moment to leave.
            await asyncio.sleep(0.1)
        except Exception:
            logger.exception("The server could not end in order")
            self._failed = True
        finally:
            self._server.end()
