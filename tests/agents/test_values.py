"""The room's plain values: text cleaning, requests, errors, and what importing them costs."""

import json
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import errors, failures
from agents.errors import AgentError, Client, TimedOut, Transient, Transport
from agents.text import Cleaner, clean
from agents.types import ModelChoice, PromptMessage, RunRequest

# Text as JSON can carry it: lone surrogates and NUL included, and often.
ANY_TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\0\ud83d\ude00\udbff\udc00a")))


@given(st.lists(ANY_TEXT))
def test_cleaning_in_pieces_is_cleaning_the_whole(pieces: list[str]) -> None:
    cleaner = Cleaner()
    joined = "".join([cleaner.feed(piece) for piece in pieces] + [cleaner.flush()])
    assert joined == clean("".join(pieces))
    joined.encode()
    assert "\0" not in joined


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["\ud83d", "\ude00"], "😀"),
        (["\ud83d", "", "\0", "\ude00"], "😀"),
        (["a\ud83d"], "a\ufffd"),
        (["\ud83d", "\ud83d", "\ude00"], "\ufffd😀"),
        (["\ude00x"], "\ufffdx"),
        (["a\0b"], "ab"),
    ],
)
def test_surrogates(pieces: list[str], expected: str) -> None:
    cleaner = Cleaner()
    assert "".join([*map(cleaner.feed, pieces), cleaner.flush()]) == expected


def test_a_key_is_not_printed() -> None:
    choice = ModelChoice("openai/x", "http://h", "sk-SECRET")
    request = RunRequest((choice,), (PromptMessage("user", "hi"),))
    for shown in (repr(choice), str(choice), f"{request!r}", f"{request}"):
        assert "SECRET" not in shown
    assert repr(ModelChoice("x")) == "ModelChoice(name='x', api_base=None, api_key=None)"


def test_values_do_not_change_and_know_their_fields() -> None:
    with pytest.raises(AttributeError):
        PromptMessage("user", "hi").content = "bye"  # type: ignore[misc]
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"role":"user","content":"hi","extra":1}', type=PromptMessage)
    with pytest.raises(ValueError, match="at least one model"):
        RunRequest((), ())


@pytest.mark.parametrize("code", errors.SENTENCES)
def test_each_code_has_its_sentence(code: errors.Code) -> None:
    error = AgentError(code)
    assert error.sentence.endswith(".")
    assert error.code in str(error)


class FakeStatusError(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        super().__init__("x")
        self.status_code = status
        self.litellm_response_headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("3", 3, 3), ("0.5", 0.5, 0.5), ("-1", 0, 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)],
)
def test_retry_after(value: str, low: float, high: float) -> None:
    wait = failures.explain(FakeStatusError(503, retry_after=value)).retry_after
    assert wait is not None
    assert low <= wait <= high


def test_a_retry_after_that_is_none() -> None:
    assert failures.explain(FakeStatusError(503, retry_after="soon")).retry_after is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), TimedOut),
        (ConnectionResetError(), Transport),
        (json.JSONDecodeError("x", "y", 0), Transport),
        (FakeStatusError(413), Client),
        (FakeStatusError(500), Transient),
        (FakeStatusError(418), Client),
        (KeyError("a bug"), AgentError),
    ],
)
def test_explain(error: Exception, kind: type[AgentError]) -> None:
    assert type(failures.explain(error)) is kind


def test_what_lies_behind_an_earlier_failure_of_ours_does_not_count() -> None:
    error, before = FakeStatusError(500), Transport()
    error.__context__, before.__context__ = before, TimeoutError()
    assert type(failures.explain(error)) is Transient


def test_importing_the_room_imports_no_litellm_and_no_django() -> None:
    """`manage.py check` must not pay seconds for a model it does not ask."""
    modules = "agents.types, agents.errors, agents.failures, agents.llm, agents.runner, agents.prompts"
    heavy = "{'litellm', 'openai', 'httpx', 'aiohttp', 'tiktoken', 'pydantic', 'django'}"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
