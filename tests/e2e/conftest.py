"""A whole Konstruct, started as a newcomer starts it, and a real browser in front of it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.upstream import Upstream

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Chromium's own errands to the network are nobody's business here, and some machines have none.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium these tests are skipped, and say so; with REQUIRE_E2E=1 they fail instead."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.e2e)
        if CHROMIUM is None and os.environ.get("REQUIRE_E2E") != "1":
            item.add_marker(pytest.mark.skip(reason="no Chromium (REQUIRE_E2E=1 makes this an error)"))


@dataclass
class Running:
    """A running Konstruct: its address, and who may sign in."""

    url: str
    home: Path
    accounts: list[dict[str, str]]
    output: list[str]

    def account(self, role: str) -> dict[str, str]:
        return next(account for account in self.accounts if account["role"] == role)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(**settings: str) -> Iterator[Running]:
    """`bin/run` with an empty data folder and these settings; without any, with the real local model."""
    home = Path(tempfile.mkdtemp(prefix="konstruct e2e "))
    port = free_port()
    keep = {k: v for k, v in os.environ.items() if not k.startswith("KONSTRUCT_") and k != "DATABASE_URL"}
    process = subprocess.Popen(
        [str(ROOT / "bin" / "run")],
        env={**keep, "KONSTRUCT_HOME": str(home), "PORT": str(port), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    output: list[str] = []
    ready = threading.Event()

    def read() -> None:
        for line in process.stdout or ():
            output.append(line)
            if "Ctrl-C" in line:
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(START_SECONDS), "".join(output)
        assert process.poll() is None, "".join(output)
        accounts = json.loads((home / "first-sign-in.json").read_text())
        yield Running(f"http://127.0.0.1:{port}", home, accounts, output)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        finally:
            if process.poll() is None:
                process.kill()
            reader.join(5)
            process.stdout.close()
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def konstruct() -> Iterator[Running]:
    """`bin/run` with an empty data folder and the real local model."""
    with running() as konstruct:
        yield konstruct


@pytest.fixture(scope="session")
def staged() -> Iterator[Running]:
    """`bin/run` with the fake upstream for a model; `scene` says how its employees answer."""
    with Upstream() as upstream, running(**answered_by(upstream)) as konstruct:
        yield konstruct


def answered_by(upstream: Upstream) -> dict[str, str]:
    return {
        "KONSTRUCT_MODEL": "openai/slow-60",
        "KONSTRUCT_API_BASE": upstream.url,
        "KONSTRUCT_API_KEY": "none",
        "KONSTRUCT_MESSAGES_PER_MINUTE": "0",
    }


# Not for the whole session: playwright's loop runs in this thread for as long as it lives, and the
# asynchronous tests of other modules need one of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "REQUIRE_E2E=1, but there is no Chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, konstruct: Running) -> Iterator[Page]:
    """A page that may ask nothing of any other host and may log no error."""
    page = context.new_page()
    complaints: list[str] = []
    foreign: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def watch(url: str) -> None:
        if not re.match(rf"({re.escape(konstruct.url)}|ws://127\.0\.0\.1|data:|blob:)", url):
            foreign.append(url)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: watch(request.url))
    yield page
    assert complaints == []
    assert foreign == []


def sign_in(page: Page, konstruct: Running, role: str) -> None:
    account = konstruct.account(role)
    page.goto(konstruct.url)
    page.get_by_label("E-mail").fill(account["email"])
    page.get_by_label("Password").fill(account["password"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Hello").wait_for()


def open_conversation(page: Page, employee: str) -> None:
    """Begin a conversation with the employee; return once its page is alive."""
    page.get_by_role("button", name=employee, exact=True).click()
    page.get_by_placeholder(f"Message {employee}").wait_for()
