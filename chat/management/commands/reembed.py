import asyncio
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django_tenants.utils import tenant_context

from agents import llm
from agents.errors import AgentError
from chat import embedding
from chat.management.commands.chat_token import positive
from konstruct.tenancy.models import Workspace
from konstruct.tenancy.workspaces import WorkspaceError, get_workspace, reference
from memory import moving
from memory.embedder import configured
from memory.errors import EmbeddingError
from memory.values import Vector

# Seconds for one call of an embedding model, and how often one that may succeed soon is made again.
CALL_SECONDS = 60.0
TRIES = 6
LONGEST_WAIT = 30.0
BAR = 40


class Command(BaseCommand):
    help = (
        "Embed what workspaces remember with another model, while they are in use. Broken off and run again"
        " it goes on where it was."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="SLUG")
        parser.add_argument("--all", action="store_true", dest="everywhere", help="all workspaces")
        parser.add_argument(
            "--to",
            default="",
            metavar="MODEL",
            help="a litellm embedding model, or wordllama-256; else KONSTRUCT_EMBEDDING_MODEL's",
        )
        parser.add_argument("--batch", type=positive, default=128, metavar="N", help="texts a call")

    def handle(
        self, *args: Any, slugs: list[str], everywhere: bool, to: str, batch: int, **options: Any
    ) -> None:
        if everywhere == bool(slugs):
            raise CommandError("Name the workspaces by their slugs, or say --all.")
        to = to or configured()
        try:
            workspaces = (
                list(Workspace.objects.order_by("slug"))
                if everywhere
                else [get_workspace(slug=s) for s in slugs]
            )
        except WorkspaceError as error:
            raise CommandError(str(error)) from error
        with asyncio.Runner() as runner:
            try:
                model = _Model(runner, to)
                model.check()
                for workspace in workspaces:
                    with tenant_context(reference(workspace)):
                        self._move(workspace, model, batch)
            except EmbeddingError as error:
                raise CommandError(f"{to} cannot be used. {error}") from error
            except AgentError as error:
                raise CommandError(f"{to}: {error.sentence} Run this again to go on.") from error
            finally:
                runner.run(llm.close())

    def _move(self, workspace: Workspace, model: "_Model", batch: int) -> None:
        try:
            with moving.alone():
                besides = self._catch_up(workspace, model, batch)
                while moving.drop_others(embedder=model.name, batch=1000):
                    pass
        except moving.AlreadyMoving:
            raise CommandError(f"{workspace.slug} is being moved by another process.") from None
        skipped = f" {len(besides)} have no text that could be." if besides else ""
        self.stdout.write(f"{workspace.slug}: all is embedded with {model.name}.{skipped}")

    def _catch_up(self, workspace: Workspace, model: "_Model", batch: int) -> set[UUID]:
        """Add what is missing, change, and add what was remembered meanwhile; what has no vector."""
        besides: set[UUID] = set()
        while True:
            self._add_missing(workspace, model, batch, besides)
            if moving.change(embedder=model.name, embed=model.embed, most=batch, besides=besides):
                return besides

    def _add_missing(self, workspace: Workspace, model: "_Model", batch: int, besides: set[UUID]) -> None:
        bar = _Bar(self.stdout, workspace.slug, moving.count())
        after, seen = UUID(int=0), 0
        while found := moving.missing(embedder=model.name, limit=batch, after=after, besides=besides):
            vectors = model.embed([memory.text for memory in found])
            moving.add(embedder=model.name, memories=found, vectors=vectors)
            besides |= {memory.id for memory, vector in zip(found, vectors, strict=True) if vector is None}
            after, seen = found[-1].id, seen + len(found)
            bar.show(seen)
        bar.end()


class _Model:
    """An embedding model, called from synchronous code."""

    def __init__(self, runner: asyncio.Runner, name: str) -> None:
        self.name = name
        self._runner = runner

    def embed(self, texts: Sequence[str]) -> list[Vector | None]:
        """The texts' vectors; None for a text that has none. Raises AgentError."""
        try:
            return list(self._call(texts))
        except EmbeddingError:
            return [self._alone(text) for text in texts]

    def check(self) -> None:
        """Raises EmbeddingError, AgentError where the model is of no use."""
        self._call(["The user likes tea."])

    def _alone(self, text: str) -> Vector | None:
        try:
            return self._call([text])[0]
        except EmbeddingError:
            return None

    def _call(self, texts: Sequence[str]) -> list[Vector]:
        """Raises AgentError for what waiting does not mend."""
        for attempt in range(1, TRIES + 1):
            try:
                return self._runner.run(embedding.embed(texts, name=self.name, timeout=CALL_SECONDS))
            except AgentError as error:
                if not error.retryable or attempt == TRIES:
                    raise
                time.sleep(min(error.retry_after or 2.0**attempt, LONGEST_WAIT))
        raise AssertionError


class _Bar:
    """Progress on one line of a terminal; elsewhere, a line each tenth."""

    def __init__(self, out: Any, name: str, total: int) -> None:
        self._out = out
        self._name = name
        self._total = total
        self._tenth = -1
        self._drawn = False
        self._terminal = out.isatty()

    def show(self, done: int) -> None:
        self._total = max(self._total, done)
        share = done / self._total
        text = f"{self._name}: {done:,} of {self._total:,}"
        if self._terminal:
            filled = int(share * BAR)
            self._out.write(f"\r[{'█' * filled}{'░' * (BAR - filled)}] {text}", ending="")
            self._out.flush()
            self._drawn = True
        elif int(share * 10) > self._tenth:
            self._tenth = int(share * 10)
            self._out.write(text)

    def end(self) -> None:
        if self._drawn:
            self._out.write("")
