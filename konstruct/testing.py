"""`manage.py test`: the same tests as `bin/test`, by the same runner."""

import os
import sys
from typing import Any


class PytestRunner:
    """Django's TEST_RUNNER that gives way to pytest, in a process whose settings are the tests' own."""

    def __init__(self, *, verbosity: int = 1, failfast: bool = False, **options: Any) -> None:
        self.arguments = ["-x"] * failfast + (["-v"] if verbosity > 1 else [])

    @classmethod
    def add_arguments(cls, parser: Any) -> None:
        """No options beyond Django's own; pytest's are for bin/test."""

    def run_tests(self, test_labels: list[str]) -> int:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *self.arguments, *test_labels])
