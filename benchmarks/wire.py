"""How often a turn goes to the database before the model is asked: a count, so never noisy.

PostgreSQL logs every statement for a moment; the upstream's record says when the model was asked.
"""

import asyncio
import json
import re
import time
import urllib.request
from datetime import UTC, datetime

from msgspec import Struct

from benchmarks.contestants import Target
from benchmarks.lines import Answer
from benchmarks.stage import Guest, Stage, realtime_of

# "2026-01-31 12:00:00.123 UTC [42] LOG:  execute <unnamed>: SELECT 1" (log_line_prefix "%m [%p] ").
_STATEMENT = re.compile(
    r"^(\S+ \S+) UTC \[\d+\] LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)", re.MULTILINE
)
# The log's times are cut to milliseconds.
_GRAIN = 0.001


class RoundTrips(Struct, frozen=True, kw_only=True):
    """One message into a conversation: statements until the model was asked, and from then to `done`."""

    contestant: str
    before_model: list[str]
    after_model: list[str]
    ms_to_model: float
    """From `message` to the request's arrival at the model, with every statement being logged."""


def count_round_trips(target: Target, guest: Guest, stage: Stage) -> RoundTrips:
    """Of the second message in a conversation, so that there is a history to read."""
    with stage.database() as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)
        begins = stage.home.postgres_log.stat().st_size
        try:
            answer = asyncio.run(_ask_twice(target, guest))
        finally:
            connection.execute("ALTER SYSTEM RESET log_statement")
            connection.execute("SELECT pg_reload_conf()")
    time.sleep(0.2)
    with urllib.request.urlopen(stage.upstream_url.removesuffix("/v1") + "/requests") as response:
        asked_at = json.load(response)[-1]["started_at"]
    log = stage.home.postgres_log.read_bytes()[begins:].decode(errors="replace")
    sent, asked, done = (realtime_of(at) for at in (answer.sent, asked_at, answer.ended or answer.sent))
    before, after = [], []
    for stamp, statement in _STATEMENT.findall(log):
        at = datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()
        if sent - _GRAIN <= at < asked:
            before.append(_short(statement))
        elif asked <= at <= done:
            after.append(_short(statement))
    return RoundTrips(
        contestant=target.name,
        before_model=before,
        after_model=after,
        ms_to_model=round((asked_at - answer.sent) * 1000, 1),
    )


async def _ask_twice(target: Target, guest: Guest) -> Answer:
    line = target.line(guest)
    await line.open()
    try:
        await line.ask(Answer(sent=time.monotonic()))
        # So that nothing of the first turn falls into the second one's time.
        await asyncio.sleep(0.3)
        answer = Answer(sent=time.monotonic())
        await line.ask(answer)
        return answer
    finally:
        line.close()


def _short(statement: str) -> str:
    """Without the column list, which is most of it."""
    one_line = " ".join(statement.split())
    return re.sub(r"^SELECT .*? FROM", "SELECT … FROM", one_line)[:200]
