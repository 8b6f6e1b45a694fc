import asyncio
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from procrastinate.contrib.django import app

from agents import llm
from konstruct.leaving import leave
from konstruct.tenancy.door import close_door


class Command(BaseCommand):
    help = "Work off jobs: titles, sweeps. As many workers as you like, on any machine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--concurrency", type=int, default=4, help="jobs at the same time (4)")

    def handle(self, *args: Any, concurrency: int, **options: Any) -> None:
        asyncio.run(self._work(concurrency))
        leave()

    async def _work(self, concurrency: int) -> None:
        llm.warm()
        connector = app.connector.get_worker_connector()  # type: ignore[attr-defined]
        with app.replace_connector(connector) as worker_app:
            async with worker_app.open_async():
                work = asyncio.create_task(
                    worker_app.run_worker_async(
                        concurrency=concurrency,
                        install_signal_handlers=False,
                        delete_jobs="successful",
                        shutdown_graceful_timeout=20,
                    )
                )
                for number in (signal.SIGTERM, signal.SIGINT):
                    asyncio.get_running_loop().add_signal_handler(number, work.cancel)
                self.stdout.write("The worker is ready.")
                try:
                    await work
                except asyncio.CancelledError:
                    self.stdout.write("The worker ended.")
        await llm.close()
        await asyncio.to_thread(close_door)
