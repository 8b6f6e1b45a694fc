"""`python -m benchmarks`: one run, its tables, its JSON. See docs/benchmarks.md."""

import argparse
import asyncio
import os
import resource
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.children import ROOT, BenchmarkFailure

os.chdir(ROOT)
sys.path.insert(0, str(ROOT))

from benchmarks import loads as all_loads  # noqa: E402
from benchmarks.contestants import CONTESTANTS, Target  # noqa: E402
from benchmarks.idle import measure_idle  # noqa: E402
from benchmarks.lines import Answer, LineFailure  # noqa: E402
from benchmarks.loads import Load  # noqa: E402
from benchmarks.meter import Meter  # noqa: E402
from benchmarks.report import Run, markdown, this_machine, write_json  # noqa: E402
from benchmarks.runner import measure, open_all  # noqa: E402
from benchmarks.stage import Stage, stage  # noqa: E402
from benchmarks.wire import count_round_trips  # noqa: E402
from konstruct.embedded.failure import StartFailure  # noqa: E402
from konstruct.embedded.processes import ENDING_SIGNALS  # noqa: E402

# Asked before anything is measured, so many at once: every database thread and cache has had its turn.
_WARM_ROUNDS, _WARM_STREAMS = 10, 16
_WARM = "stamped-1-0"
# Besides the loads' own names.
_IDLE, _ROUND_TRIPS = "idle", "round-trips"
_OPEN_FILES = 65_536


def main() -> None:
    options = _options()
    for number in ENDING_SIGNALS:
        signal.signal(number, _interrupt)
    _raise_open_files()
    chosen = [load for load in all_loads.loads(quick=options.quick) if _wanted(options.only, load.name)]
    run = Run(machine=this_machine(), quick=options.quick, loads=chosen, figures=[], idle=[], round_trips=[])
    code = 0
    try:
        _say("Setting the stage ...")
        with stage() as made:
            made.invite(_guests(options, chosen))
            for name in options.contestants:
                with CONTESTANTS[name](made) as target:
                    try:
                        _perform(run, options, target, made, chosen)
                    finally:
                        target.check()
    except KeyboardInterrupt:
        _say("Interrupted.")
        code = 130
    except (BenchmarkFailure, LineFailure, OSError, StartFailure) as failure:
        _say(f"The benchmark cannot go on. {failure or type(failure).__name__}")
        code = 1
    if run.figures or run.idle or run.round_trips:
        print(markdown(run))
        _say(f"JSON: {os.path.relpath(write_json(run, options.json))}")
    sys.exit(code)


def _perform(run: Run, options: Any, target: Target, made: Stage, chosen: list[Load]) -> None:
    """All that is measured of one contestant."""
    _say(f"{target.name} ({', '.join(map(str, target.pids)) or 'no server'})")
    meter = Meter(servers=target.pids, upstream=made.upstream.pid, database=made.postgres)
    if target.has_sockets:
        asyncio.run(_warm_up(target, made))
    if target.has_sockets and _wanted(options.only, _IDLE):
        _say("  idle")
        sockets = all_loads.idle_sockets(quick=options.quick)
        run.idle.append(measure_idle(target, made.guests(_WARM, sockets, keep=True)))
    if target.has_database and _wanted(options.only, _ROUND_TRIPS):
        run.round_trips.append(count_round_trips(target, made.guests(_WARM, 1)[0], made))
    for load in chosen:
        _say(f"  {load.name}")
        run.figures.append(measure(load, target, made.guests(load.model, load.asks), meter))


async def _warm_up(target: Target, made: Stage) -> None:
    for _ in range(_WARM_ROUNDS):
        lines = [target.line(guest) for guest in made.guests(_WARM, _WARM_STREAMS)]
        await open_all(lines)
        answers = [Answer(sent=0.0) for _ in lines]
        await asyncio.gather(*(line.ask(answer) for line, answer in zip(lines, answers, strict=True)))
        for line in lines:
            line.close()
        if failures := [answer.failure for answer in answers if answer.failure]:
            raise BenchmarkFailure(f"{target.name} cannot answer: {failures[0]}")


def _guests(options: Any, chosen: list[Load]) -> dict[str, int]:
    """How many conversations with each model the whole run needs."""
    contestants = len(options.contestants)
    wanted = Counter({_WARM: contestants * (_WARM_ROUNDS * _WARM_STREAMS + 1)})
    wanted[_WARM] += all_loads.idle_sockets(quick=options.quick)
    for load in chosen:
        wanted[load.model] += contestants * load.asks
    return wanted


def _wanted(only: list[str], name: str) -> bool:
    return not only or name in only


def _options() -> Any:
    names = [*(load.name for load in all_loads.loads(quick=False)), _IDLE, _ROUND_TRIPS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter loads (about two minutes)")
    parser.add_argument("--only", action="append", default=[], choices=names, help="may be repeated")
    parser.add_argument("--contestant", action="append", dest="contestants", choices=list(CONTESTANTS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to, instead of benchmarks/results/")
    options = parser.parse_args()
    options.contestants = options.contestants or list(CONTESTANTS)
    options.json = options.json and options.json.absolute()
    return options


def _raise_open_files() -> None:
    """A socket is a file here and in the server, which inherits this."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Whoever is impatient now would only leave something behind.
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
