"""What a command of manage.py pays for at its start: nothing that only a server or a worker needs."""

import subprocess
import sys

from tests.live.servers import ROOT, environment

# Seconds of importing, all together.
HEAVY = {"litellm", "openai", "httpx", "aiohttp", "redis", "wordllama", "tokenizers", "twisted", "daphne"}


def test_a_check_of_the_project_imports_nothing_heavy() -> None:
    code = (
        "import sys; from django.core.management import execute_from_command_line as run;"
        f"run(['manage.py', 'check']); print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
