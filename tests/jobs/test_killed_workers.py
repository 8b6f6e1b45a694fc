"""Real workers, killed with SIGKILL again and again: every exchange is remembered, and exactly once."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import scalar_row

from konstruct.settings import env
from tests.live.backstage import Backstage
from tests.live.people import Place
from tests.live.servers import ROOT, environment, manage
from tests.upstream import Upstream

pytestmark = pytest.mark.slow

CONVERSATIONS, EACH = 20, 10
KILLS, WORKERS = 10, 2
PATIENCE = 600.0
# Constants with which a dead worker is noticed within three seconds, and tries follow at once.
QUICK = {
    "konstruct.tenancy.job_keeping.HEARTBEAT": 0.25,
    "konstruct.tenancy.job_keeping.DEAD_AFTER": 2.5,
    "konstruct.tenancy.worker.RECOVER_EVERY": 0.25,
    "konstruct.tenancy.worker.POLL": 0.1,
    "konstruct.tenancy.jobs.FIRST_WAIT": 0.05,
}


class Worker:
    """`manage.py worker`, begun at once."""

    def __init__(self, log: Path, **changes: str) -> None:
        self._log = log
        quick = [f"{name}={value}" for name, value in QUICK.items()]
        command = [sys.executable, "-m", "tests.live.changed", *quick, "--", "worker"]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment(**changes), stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def works(self) -> bool:
        assert self._process.poll() is None, self.said[-4000:]
        return "The worker is ready." in self.said

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code."""
        try:
            return self._process.wait(60)
        finally:
            self._process.kill()


_JOBS = """
SELECT concat_ws(' ', task_name, status, 'attempts', attempts, 'due', scheduled_at - now(), 'lock', lock)
FROM procrastinate_jobs ORDER BY id LIMIT 40
"""


class Watch:
    """The database of the workers, looked at from outside."""

    def __init__(self, place: Place) -> None:
        self._id = place.id
        where = env.database()
        self._connection = psycopg.connect(
            host=where["HOST"],
            port=where["PORT"],
            user=where["USER"],
            password=where.get("PASSWORD"),
            dbname=where["NAME"],
            options=f"-c search_path=ws_{place.slug},public",
            autocommit=True,
            row_factory=scalar_row,
        )

    def one(self, query: str) -> Any:
        return self._connection.execute(query).fetchone()  # type: ignore[call-overload]

    def all(self, query: str) -> list[Any]:
        return self._connection.execute(query).fetchall()  # type: ignore[call-overload]

    def close(self) -> None:
        self._connection.close()

    @property
    def done(self) -> int:
        """Of twice as many as there are exchanges: remembered, and looked through."""
        return int(
            self.one("SELECT count(*) + count(distilled_at) FROM memory_memory WHERE kind = 'exchange'")
        )

    @property
    def left(self) -> int:
        return int(
            self.one(f"SELECT count(*) FROM procrastinate_jobs WHERE args->>'workspace_id' = '{self._id}'")
        )

    def drop_others(self) -> None:
        """Jobs that tests of other rooms have left waiting: their upstreams are gone."""
        self._connection.execute(
            f"DELETE FROM procrastinate_jobs WHERE args->>'workspace_id' <> '{self._id}' AND status = 'todo'"
        )

    def until(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition():
            assert time.monotonic() < deadline, f"{self.done} done; what is left: {self.all(_JOBS)}"
            time.sleep(0.05)


@pytest.fixture
def place() -> Iterator[tuple[Backstage, Place]]:
    manage("prepare", "--no-demo")
    with Backstage() as backstage:
        yield backstage, backstage.workspace("killed", "Killed Ltd")


def test_every_exchange_is_remembered_exactly_once_however_often_workers_are_killed(
    place: tuple[Backstage, Place], tmp_path: Path
) -> None:
    backstage, workspace = place
    person = backstage.person(workspace)
    agent = backstage.hire(workspace, "distiller-late-20")
    staged = subprocess.run(
        [
            *(sys.executable, "-m", "tests.jobs.stage", workspace.slug, person.id, agent),
            *(str(CONVERSATIONS), str(EACH)),
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said: dict[str, str] = json.loads(staged.stdout)
    total = CONVERSATIONS * EACH
    assert len(said) == total

    watch = Watch(workspace)
    watch.drop_others()
    assert watch.left == total
    began = time.monotonic()
    chance = random.Random(began)
    # After so many steps of all there are, at moments that nothing is prepared for.
    moments = sorted(chance.sample(range(2 * total * 9 // 10), KILLS))
    logs = (tmp_path / f"worker-{number}" for number in range(WORKERS + KILLS))
    killed: list[Worker] = []
    with Upstream() as upstream:
        model = {"KONSTRUCT_MODEL": "openai/echo", "KONSTRUCT_API_BASE": upstream.url}
        workers = [Worker(next(logs), **model) for _ in range(WORKERS)]
        try:
            for moment in moments:
                watch.until(lambda moment=moment: watch.done >= moment, began + PATIENCE)  # type: ignore[misc]
                watch.until(lambda: any(worker.works for worker in workers), began + PATIENCE)
                time.sleep(chance.uniform(0, 0.05))
                victim = chance.choice([worker for worker in workers if worker.works])
                victim.send(signal.SIGKILL)
                assert victim.wait() == -signal.SIGKILL
                killed.append(victim)
                workers[workers.index(victim)] = Worker(next(logs), **model)
            watch.until(lambda: watch.left == 0, began + PATIENCE)
            took = time.monotonic() - began
        finally:
            for worker in workers:
                worker.send(signal.SIGTERM)
            codes = [worker.wait() for worker in workers]
    taken_over = sum(worker.said.count("has died; it runs again") for worker in [*killed, *workers])
    calls = watch.one("SELECT count(*) FROM chat_modelcall WHERE purpose = 'facts'")
    print(
        f"\n{total} exchanges, {len(killed)} workers killed, {taken_over} of their jobs taken over, "
        f"{calls} calls of the model for {total} exchanges, {took:.1f} s"
    )
    assert codes == [0] * WORKERS
    assert len(killed) == KILLS and taken_over > 0

    exchanges = watch.all("SELECT message_id::text FROM memory_memory WHERE kind = 'exchange'")
    assert sorted(exchanges) == sorted(said)
    assert (
        watch.one("SELECT count(*) FROM memory_memory WHERE kind = 'exchange' AND distilled_at IS NULL") == 0
    )
    assert watch.one("SELECT count(*) FROM memory_memory WHERE superseded_at IS NOT NULL") == 0
    facts = watch.all("SELECT text FROM memory_memory WHERE kind = 'fact'")
    assert sorted(facts) == sorted(text.replace("I am", "The user is") for text in said.values())
    assert watch.one("SELECT max(times_said) FROM memory_memory") == 1
    assert watch.one("SELECT count(*) FROM memory_memoryvector") == 2 * total
    assert watch.one("SELECT count(*) FROM tenancy_jobfailure") == 0
    watch.close()
