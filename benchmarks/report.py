"""The run's figures as Markdown tables and as JSON."""

import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from benchmarks.children import ROOT
from benchmarks.idle import Idle
from benchmarks.loads import Load
from benchmarks.runner import Figures, Spread
from benchmarks.wire import RoundTrips

Row = TypeVar("Row")
RESULTS = ROOT / "benchmarks" / "results"


class Machine(Struct, frozen=True):
    """Where and when."""

    started_at: str
    commit: str
    python: str
    cores: int
    cpu: str
    load_average: tuple[float, float, float]


class Run(Struct, kw_only=True):
    """All of a run; what JSON holds."""

    machine: Machine
    quick: bool
    loads: list[Load]
    figures: list[Figures]
    idle: list[Idle]
    round_trips: list[RoundTrips]


def this_machine() -> Machine:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return Machine(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit.stdout.strip(),
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)),
        cpu=cpu,
        load_average=os.getloadavg(),
    )


def write_json(run: Run, path: Path | None) -> Path:
    """To `path`, or to benchmarks/results/ under the time the run began. Returns where."""
    path = path or RESULTS / f"{run.machine.started_at.replace(':', '').replace('+0000', 'Z')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    return path


def markdown(run: Run) -> str:
    """All tables of the run."""
    where = run.machine
    parts = [
        f"{where.started_at}, commit {where.commit or 'unknown'}, Python {where.python}, {where.cores} cores "
        f"({where.cpu}), load average at the start {where.load_average[0]:.2f}"
    ]
    for load in run.loads:
        rows = [figures for figures in run.figures if figures.load == load.name]
        if rows:
            parts.append(f"**{load.name}**: {load.title}\n\n" + _load_table(rows))
    if run.idle:
        parts.append("**idle**: sockets that say nothing\n\n" + _table(_IDLE, run.idle))
    if run.round_trips:
        parts.append("**round-trips**: statements of one turn\n\n" + _table(_TRIPS, run.round_trips))
    return "\n\n".join(parts)


# --- tables -------------------------------------------------------------------------------------------


def _ms(spread: Spread | None) -> str:
    return f"{spread.p50:.1f} / {spread.p99:.1f}" if spread else "–"


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _delivered(row: Figures) -> str:
    share = "" if row.delivered is None else f" ({row.delivered:.0%})"
    failed = f", {row.failed} of {row.asks} failed ({row.failure})" if row.failed else ""
    return f"{row.tokens_per_second:,.0f}{share}{failed}"


_LOAD: dict[str, Callable[[Figures], str]] = {
    "": lambda row: row.contestant,
    "first token ms p50 / p99": lambda row: _ms(row.first),
    "of it to `saved`": lambda row: _ms(row.stored),
    "of it model to client": lambda row: _ms(row.first_back),
    "a token ms p50 / p99": lambda row: _ms(row.token),
    "tokens/s": _delivered,
    "tokens a chunk": lambda row: _number(row.tokens_per_chunk, 1),
    "CPU us a token": lambda row: _number(row.cpu_us_per_token),
    "steady": lambda row: _number(row.steady_cpu_us_per_token),
    "CPU ms a turn": lambda row: _number(row.cpu_ms_per_turn, 1),
    "cores: server": lambda row: _number(row.server_cores, 2),
    "database": lambda row: _number(row.database_cores, 2),
    "upstream": lambda row: _number(row.upstream_cores, 2),
    "generator": lambda row: _number(row.generator_cores, 2),
    "others": lambda row: _number(row.other_cores, 2),
    "load": lambda row: _number(row.load_average, 1),
}
_IDLE: dict[str, Callable[[Idle], str]] = {
    "": lambda row: row.contestant,
    "sockets": lambda row: _number(row.sockets),
    "at rest MiB": lambda row: _number(row.at_rest_kib / 1024),
    "KiB a socket": lambda row: _number(row.per_socket_kib, 1),
    "after closing MiB": lambda row: _number(row.after_closing_kib / 1024),
    "CPU cores idle": lambda row: _number(row.idle_cores, 3),
    "opened/s": lambda row: _number(row.opened_per_second),
    "CPU ms an opening": lambda row: _number(row.cpu_ms_per_opening, 1),
}
_TRIPS: dict[str, Callable[[RoundTrips], str]] = {
    "": lambda row: row.contestant,
    "until the model is asked": lambda row: str(len(row.before_model)),
    "ms, logged": lambda row: _number(row.ms_to_model, 1),
    "from then to `done`": lambda row: str(len(row.after_model)),
}


def _load_table(rows: Sequence[Figures]) -> str:
    """The load's columns, and first of all what the contestants add to the direct client's first token."""
    limit = next((row.first for row in rows if row.contestant == "direct"), None)

    def added(row: Figures) -> str:
        return f"{row.first.p50 - limit.p50:+.1f}" if row.first and limit and row.first is not limit else "–"

    (name, contestant), *others = _LOAD.items()
    first, *rest = others
    columns = {name: contestant, first[0]: first[1], "beyond direct p50": added, **dict(rest)}
    return _table(columns, rows)


def _table(columns: dict[str, Callable[[Row], str]], rows: Iterable[Row]) -> str:
    cells = [list(columns), *([show(row) for show in columns.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
