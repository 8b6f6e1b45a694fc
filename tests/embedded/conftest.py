"""Folders and processes of the embedded parts' own: nothing here touches the run's database."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from konstruct.embedded.checks import free_port
from konstruct.embedded.paths import Home
from konstruct.embedded.postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
CAP_DAC_READ_SEARCH = 2


def processes_of(folder: Path) -> list[psutil.Process]:
    """The living processes whose command line or working folder lies in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if any(str(folder) in word for word in [*process.cmdline(), process.cwd()]):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter. What still runs in it afterwards is ended, and fails the test."""
    path = Path(tempfile.mkdtemp(prefix="konstruct-embedded-"))
    path.chmod(0o755)
    yield path
    left = processes_of(path)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=5)
    shutil.rmtree(path)
    assert not left, f"left running: {left}"


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A data folder with a database in it, to be copied: making one takes a second."""
    path = Path(tempfile.mkdtemp(prefix="konstruct-made-"))
    path.chmod(0o755)
    with EmbeddedPostgres(Home(path / "home"), durable=False):
        pass
    yield path / "home"
    shutil.rmtree(path)


def copy_home(made: Path, path: Path) -> Home:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", made, path], check=True, timeout=30)
    return Home(path)


@pytest.fixture
def home(folder: Path, made: Path) -> Home:
    """A data folder that has been used before."""
    return copy_home(made, folder / "home")


@pytest.fixture
def fresh(folder: Path) -> Home:
    """A data folder that does not exist yet."""
    return Home(folder / "fresh")


class Launched:
    """`python -m konstruct.embedded.launch` (or another script) as a child, its output read on request."""

    def __init__(self, command: list[str], environment: dict[str, str], output: Path) -> None:
        self.port = int(environment["PORT"])
        self.output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, cwd=ROOT
            )

    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, words: str, seconds: float = 60) -> str:
        """Its output, once `words` are in it."""
        deadline = time.monotonic() + seconds
        while words not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.02)
        return self.text()

    def end(self, number: signal.Signals = signal.SIGINT) -> float:
        """Sends a signal; the seconds until the end, which has to be a clean one."""
        began = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(20) == 0, self.text()
        return time.monotonic() - began

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(5)


Launch = Callable[..., Launched]


@pytest.fixture
def launch(folder: Path, home: Home) -> Iterator[Launch]:
    """Starts the launcher on `home`. With `stub`, its manage.py is a quick stand-in: see stub/manage.py."""
    started: list[Launched] = []

    def start(*, stub: bool = True, **settings: str) -> Launched:
        kept = {
            n: v for n, v in os.environ.items() if not n.startswith(("KONSTRUCT", "DATABASE_URL", "REDIS"))
        }
        environment = {**kept, "KONSTRUCT_HOME": str(home.path), "PORT": str(free_port())}
        if stub:
            environment["KONSTRUCT_MODEL"] = "openai/none"
        environment |= settings
        command = [sys.executable, "-m", "konstruct.embedded.launch"]
        if stub:
            script = "from pathlib import Path; from konstruct.embedded import launch; import sys;"
            script += "launch.BASE_DIR = Path(sys.argv[1]); launch.main(launch.Launcher(launch.env).run)"
            command = [sys.executable, "-c", script, str(Path(__file__).with_name("stub"))]
        launched = Launched(command, environment, folder / f"output-{len(started)}")
        started.append(launched)
        return launched

    yield start
    for launched in started:
        if launched.process.poll() is None:
            launched.process.send_signal(signal.SIGTERM)
            launched.process.wait(20)
