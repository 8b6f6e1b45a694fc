import asyncio
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from agents import llm
from konstruct.leaving import leave
from konstruct.tenancy.door import close_door
from konstruct.tenancy.worker import work
from memory import embedder


class Command(BaseCommand):
    help = "Work off jobs: memory, titles, sweeps. As many workers as you like, on any machine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--concurrency", type=int, default=4, help="jobs at the same time (4)")

    def handle(self, *args: Any, concurrency: int, **options: Any) -> None:
        asyncio.run(self._work(concurrency))
        leave()

    async def _work(self, concurrency: int) -> None:
        # litellm takes seconds to load: nobody waits for the first job that needs it.
        embedder.warm()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await work(
            concurrency=concurrency, stop=stop, ready=lambda: self.stdout.write("The worker is ready.")
        )
        self.stdout.write("The worker ended.")
        await llm.close()
        await asyncio.to_thread(close_door)
