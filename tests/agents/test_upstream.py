"""The fake upstream itself: what other tests and the benchmarks lean on."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.upstream import Upstream


def post(url: str, **body: Any) -> tuple[bytes, list[float]]:
    """The whole answer and when each line came."""
    data = json.dumps({"messages": [{"role": "user", "content": "one two three"}], **body}).encode()
    request = urllib.request.Request(url + "/chat/completions", data, {"Content-Type": "application/json"})
    lines, times = [], []
    with urllib.request.urlopen(request, timeout=10) as response:
        for line in response:
            lines.append(line)
            times.append(time.monotonic())
    return b"".join(lines), times


def texts(stream: bytes) -> list[str]:
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    return [c["delta"]["content"] for e in events for c in e["choices"] if c["delta"].get("content")]


def test_not_streamed(upstream: Upstream) -> None:
    body, _ = post(upstream.url, model="openai/echo")
    answer = json.loads(body)
    assert answer["choices"][0]["message"]["content"] == "one two three"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_streamed_with_and_without_usage(upstream: Upstream) -> None:
    plain, _ = post(upstream.url, model="echo", stream=True)
    assert texts(plain) == ["one ", "two ", "three"]
    assert b"usage" not in plain
    assert plain.endswith(b"data: [DONE]\n\n")
    counted, _ = post(upstream.url, model="echo", stream=True, stream_options={"include_usage": True})
    assert b'"choices": [], "usage"' in counted


def test_the_pace(upstream: Upstream) -> None:
    stream, times = post(upstream.url, model="lorem-10-100", stream=True)
    assert len(texts(stream)) == 10
    assert 0.08 < times[-1] - times[0] < 0.5


def test_stamps_are_the_time_of_sending(upstream: Upstream) -> None:
    before = time.monotonic()
    stream, _ = post(upstream.url, model="stamped-5-100", stream=True)
    stamps = [float(text) for text in texts(stream)]
    assert stamps == sorted(stamps)
    assert before < stamps[0] < stamps[-1] < time.monotonic()
    assert stamps[-1] - stamps[0] >= 0.039


def test_failures_are_openais(upstream: Upstream) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(upstream.url, model="status-429-3", stream=True)
    with caught.value as response:
        assert response.headers["Retry-After"] == "3"
        assert json.loads(response.read())["error"]["code"] == "rate_limit_exceeded"


def test_requests_are_recorded_without_secrets(upstream: Upstream) -> None:
    post(upstream.url, model="echo")
    with urllib.request.urlopen(upstream.url.removesuffix("/v1") + "/requests", timeout=5) as response:
        (record,) = json.load(response)
    assert record["messages"] == [{"role": "user", "content": "one two three"}]
    assert record["closed_early"] is False
    assert record["started_at"] <= record["ended_at"]
    reset = urllib.request.Request(upstream.url.removesuffix("/v1") + "/requests", method="DELETE")
    urllib.request.urlopen(reset, timeout=5).close()
    assert upstream.requests() == []


def test_on_its_own() -> None:
    command = [sys.executable, "-m", "tests.upstream", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            with urllib.request.urlopen(url + "/models", timeout=5) as response:
                names = [model["id"] for model in json.load(response)["data"]]
            assert "echo" in names
            assert "hang-mid" in names
        finally:
            process.terminate()
            process.wait(5)
