"""`manage.py` with constants of modules changed, so that no test waits for half a minute:

    python -m tests.live.changed konstruct.server.PING_EVERY=1 -- serve --port 8000

At SIGUSR1 the process writes into `<its log>`, as a line `TASKS {...}`, how many tasks its loop has, by name.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from importlib import import_module
from types import FrameType

MARK = "TASKS "


def _tell_tasks(_number: int, _frame: FrameType | None) -> None:
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # the loop is between two steps
        tasks = asyncio.all_tasks(asyncio.get_event_loop_policy().get_event_loop())
    # "turn 6f1c…" is a turn, "Task-17" a task without a name.
    names = Counter(re.split(r"[ \d]", task.get_name())[0] for task in tasks)
    os.write(1, f"{MARK}{json.dumps(names)}\n".encode())


def main(values: list[str], arguments: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "konstruct.settings")
    import django
    from django.core.management import execute_from_command_line

    django.setup()
    for value in values:
        name, _, number = value.partition("=")
        module, _, constant = name.rpartition(".")
        loaded = import_module(module)
        if not isinstance(getattr(loaded, constant), int | float):
            sys.exit(f"{name} is no number.")
        setattr(loaded, constant, float(number))
    signal.signal(signal.SIGUSR1, _tell_tasks)
    execute_from_command_line(["manage.py", *arguments])


if __name__ == "__main__":
    cut = sys.argv.index("--")
    main(sys.argv[1:cut], sys.argv[cut + 1 :])
