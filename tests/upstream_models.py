"""What the fake upstream's models do. One function a behaviour, found by the model's name.

A behaviour talks to an `Answer`, which writes server-sent events if the request asked for a stream
and collects one JSON body if it did not, so that each works both ways. A name may carry the prefix
`openai/`. Unknown names answer 404 as OpenAI does.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from aiohttp import web

LOREM = (
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "adipiscing",
    "elit",
    "sed",
    "do",
    "eiusmod",
)
# Bytes gathered into one write where nothing paces the tokens.
WRITE_SIZE = 16 * 1024
# How long a hanging model hangs if nobody leaves.
FOREVER = 3600.0


class HttpFailure(Exception):
    """Answer with this HTTP response instead of a stream."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "server_error",
        code: str | None = None,
        **headers: str,
    ) -> None:
        error = {"message": message, "type": kind, "param": None, "code": code}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = web.json_response({"error": error}, status=status, headers=names)
        super().__init__(message)


class HungUp(Exception):
    """The behaviour cut the connection itself."""


class Answer:
    """One answer in the making."""

    def __init__(
        self,
        request: web.Request,
        body: dict[str, Any],
        record: dict[str, Any],
        failures_left: dict[str, int],
    ) -> None:
        self.request = request
        self.body = body
        self.record = record
        self.failures_left = failures_left
        self.model = str(body.get("model", "")).removeprefix("openai/")
        self.streamed = bool(body.get("stream"))
        self.response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        )
        self.tokens = 0
        self.message: dict[str, Any] = {"role": "assistant", "content": ""}
        self.finish_reason: str | None = None
        self.sends_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self.sends_done = True
        # What surrounds the text of a token, encoded once.
        head = json.dumps(
            {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.model}
        )
        self._head = head[:-1].encode() + b', "choices": [{"index": 0, "delta": {"content": '
        self._tail = b'}, "finish_reason": null}]}\n\n'

    @property
    def prompt(self) -> str:
        """The last user message, "" if there is none."""
        mine = [m["content"] for m in self.body.get("messages", []) if m.get("role") == "user"]
        return str(mine[-1]) if mine else ""

    @property
    def usage(self) -> dict[str, int]:
        prompt = sum(len(str(m.get("content", "")).split()) for m in self.body.get("messages", []))
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self.tokens,
            "total_tokens": prompt + self.tokens,
        }

    def encode(self, text: str) -> bytes:
        """The event of one token. json escapes what is not ASCII, lone surrogates included."""
        return b"data: " + self._head + json.dumps(text).encode() + self._tail

    async def start(self) -> None:
        """Send the response's headers (on a stream); done by the first write anyway."""
        if self.streamed and not self.response.prepared:
            await self.response.prepare(self.request)

    async def write(self, data: bytes, tokens: int = 0) -> None:
        """Raw bytes of the stream, which hold so many tokens. Nothing, where it is not streamed."""
        if not self.streamed:
            return
        await self.start()
        if tokens and self.record["first_token_at"] is None:
            self.record["first_token_at"] = time.monotonic()
        await self.response.write(data)

    async def token(self, text: str) -> None:
        self.tokens += 1
        self.message["content"] = (self.message["content"] or "") + text
        await self.write(self.encode(text), tokens=1)

    async def event(self, delta: dict[str, Any], finish_reason: str | None = None, **extra: Any) -> None:
        """One event with any delta; `extra` goes beside `choices`."""
        for key, value in delta.items():
            if isinstance(value, str) and key != "role":
                self.message[key] = (self.message.get(key) or "") + value
        choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        await self.data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices, **extra})

    async def data(self, value: dict[str, Any]) -> None:
        """Any JSON as an event."""
        await self.write(
            b"data: " + json.dumps({"created": 1, "model": self.model, **value}).encode() + b"\n\n"
        )

    async def finish(self, reason: str = "stop") -> None:
        self.finish_reason = reason
        await self.event({}, reason)

    async def close(self) -> None:
        """Cut the connection where it stands."""
        if self.request.transport is not None:
            self.request.transport.abort()
        raise HungUp

    async def end(self) -> web.StreamResponse:
        """Usage if it was asked for, `[DONE]`; or the whole answer as one body."""
        if not self.streamed:
            choice = {"index": 0, "message": self.message, "finish_reason": self.finish_reason}
            whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.model}
            usage = {} if self.model == "no-usage" else {"usage": self.usage}
            return web.json_response({**whole, "choices": [choice], **usage})
        if self.sends_usage:
            await self.data(
                {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": self.usage}
            )
        if self.sends_done:
            await self.write(b"data: [DONE]\n\n")
        await self.response.write_eof()
        return self.response


Behaviour = Callable[[Answer], Awaitable[None]]
_behaviours: list[tuple[str, re.Pattern[str], Callable[..., Awaitable[None]]]] = []


def model(name: str, pattern: str | None = None) -> Callable[[Callable[..., Awaitable[None]]], Any]:
    """Register a behaviour under a name, or a pattern whose groups become its further arguments."""

    def register(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        _behaviours.append((name, re.compile(pattern or re.escape(name)), function))
        return function

    return register


def find(name: str) -> Behaviour:
    """The behaviour of a model's name."""
    for _, pattern, function in _behaviours:
        if match := pattern.fullmatch(name):
            return partial(_call, function, match.groups())
    raise HttpFailure(
        404, f"The model `{name}` does not exist", kind="invalid_request_error", code="model_not_found"
    )


async def _call(function: Callable[..., Awaitable[None]], arguments: tuple[str, ...], answer: Answer) -> None:
    await function(answer, *arguments)


def names() -> list[str]:
    """All models, patterns in their readable form."""
    return [name for name, _, _ in _behaviours]


# --- Answers of known text -----------------------------------------------------------------------


async def say(answer: Answer, pieces: Iterable[str], reason: str = "stop") -> None:
    for piece in pieces:
        await answer.token(piece)
    await answer.finish(reason)


@model("echo")
async def echo(answer: Answer) -> None:
    """The last user message, word by word."""
    await say(answer, re.findall(r"\S+\s*|\s+", answer.prompt))


@model("unicode")
async def unicode(answer: Answer) -> None:
    """Emoji, a combining mark apart, CJK, a surrogate pair split over two deltas, a lone half, a NUL."""
    await say(answer, ["👩‍👩‍👧 ", "e", "\u0301", " 漢字 ", "\ud83d", "\ude00", " a\x00b ", "\ud83d", "x"])


@model("same-chunk-<count>", r"same-chunk-(\d+)")
async def same_chunk(answer: Answer, count: str) -> None:
    """Identical chunks in a row, as in a ruler of equals signs."""
    await say(answer, ["===="] * int(count))


@model("special-tokens")
async def special_tokens(answer: Answer) -> None:
    """Text that looks like a chat template's own marks, and is not."""
    await say(answer, ["<s>", "struck", "</s>", " <|im_end|>", " end"])


@model("empty-answer")
async def empty_answer(answer: Answer) -> None:
    await say(answer, [])


@model("length")
async def length(answer: Answer) -> None:
    await say(answer, ["cut ", "short"], "length")


@model("content-filter")
async def content_filter(answer: Answer) -> None:
    """The provider's filter ends an answer that has begun."""
    await say(answer, ["Well, "], "content_filter")


# --- Answers of known speed ----------------------------------------------------------------------


async def paced(answer: Answer, count: int, rate: float, encode: Callable[[int], tuple[str, bytes]]) -> None:
    """`count` tokens at `rate` a second. Tokens that are due together go in one write."""
    loop = asyncio.get_running_loop()
    start, sent = loop.time(), 0
    while sent < count:
        due = min(count, int((loop.time() - start) * rate) + 1) if rate else count
        if due <= sent:
            await asyncio.sleep(start + sent / rate - loop.time())
            continue
        batch, size = [], 0
        while sent < due and size < WRITE_SIZE:
            text, data = encode(sent)
            sent, size = sent + 1, size + len(data)
            batch.append(data)
            if not answer.streamed:
                answer.message["content"] += text
        answer.tokens = sent
        await answer.write(b"".join(batch), tokens=len(batch))
        if not rate:
            await asyncio.sleep(0)  # an unpaced stream must not starve the others
    await answer.finish()


@model("lorem-<tokens>-<tokens a second, 0 as fast as it can>", r"lorem-(\d+)-(\d+(?:\.\d+)?)")
async def lorem(answer: Answer, count: str, rate: str) -> None:
    words = [(f"{word} ", answer.encode(f"{word} ")) for word in LOREM]
    await paced(answer, int(count), float(rate), lambda i: words[i % len(words)])


@model("stamped-<tokens>-<tokens a second>", r"stamped-(\d+)-(\d+(?:\.\d+)?)")
async def stamped(answer: Answer, count: str, rate: str) -> None:
    """Each token is the time it was sent, `time.monotonic()` in seconds, and a space."""
    head, tail = answer.encode("@").split(b"@")

    def encode(_: int) -> tuple[str, bytes]:
        text = f"{time.monotonic():.6f} "
        return text, head + text.encode() + tail

    await paced(answer, int(count), float(rate), encode)


@model("echo-<tokens a second>", r"echo-(\d+)")
async def paced_echo(answer: Answer, rate: str) -> None:
    """The last user message, word by word, at that speed."""
    words = re.findall(r"\S+\s*|\s+", answer.prompt)
    await paced(answer, len(words), float(rate), lambda i: (words[i], answer.encode(words[i])))


@model("slow-<ms before each token>", r"slow-(\d+)")
async def slow(answer: Answer, milliseconds: str) -> None:
    for word in re.findall(r"\S+\s*", answer.prompt):
        await asyncio.sleep(int(milliseconds) / 1000)
        await answer.token(word)
    await answer.finish()


# --- Legal streams of unusual shape --------------------------------------------------------------


@model("empty-deltas")
async def empty_deltas(answer: Answer) -> None:
    """Role only, empty, null and absent contents, no choices, keep-alive comments, between the words."""
    await answer.event({"role": "assistant", "content": ""})
    for word in ("still ", "here"):
        await answer.event({})
        await answer.write(b": keep-alive\n\n")
        await answer.event({"content": ""})
        await answer.event({"content": None})
        await answer.data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": []})
        await answer.token(word)
    await answer.event({"content": ""})
    await answer.finish()


@model("finish-on-content")
async def finish_on_content(answer: Answer) -> None:
    """The finish reason and the usage come with the last word."""
    await answer.token("all ")
    answer.tokens += 1
    answer.finish_reason = "stop"
    await answer.event({"content": "done"}, "stop", usage=answer.usage)
    answer.sends_usage = False


@model("usage-early")
async def usage_early(answer: Answer) -> None:
    """Usage so far on every chunk, beside its choice, as some providers send it."""
    for word in ("one ", "two ", "three"):
        answer.tokens += 1
        await answer.event({"content": word}, usage=answer.usage)
    answer.sends_usage = False
    await answer.finish()


@model("no-usage")
async def no_usage(answer: Answer) -> None:
    answer.sends_usage = False
    await echo(answer)


@model("no-done")
async def no_done(answer: Answer) -> None:
    """A finish reason, but no [DONE]: a complete answer."""
    answer.sends_done = False
    await echo(answer)


@model("reasoning")
async def reasoning(answer: Answer) -> None:
    for piece in ("Let me ", "think."):
        await answer.event({"reasoning_content": piece})
    await say(answer, ["42"])


@model("refusal")
async def refusal(answer: Answer) -> None:
    """OpenAI's refusal: its own field in place of content."""
    answer.message["content"] = None
    for piece in ("I cannot ", "help with that."):
        await answer.event({"refusal": piece})
    await answer.finish()


# --- Failures ------------------------------------------------------------------------------------


@model("status-400-context")
async def too_long(_: Answer) -> None:
    message = (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
    )
    raise HttpFailure(400, message, kind="invalid_request_error", code="context_length_exceeded")


@model("status-400-llama")
async def too_long_for_llama(_: Answer) -> None:
    """llama.cpp's own words for it."""
    message = "request (9000 tokens) exceeds the available context size (2048 tokens), try increasing it"
    raise HttpFailure(400, message, kind="exceed_context_size_error")


@model("status-400-policy")
async def against_policy(_: Answer) -> None:
    message = "Your request was rejected as a result of our safety system: content_policy_violation."
    raise HttpFailure(400, message, kind="invalid_request_error", code="content_policy_violation")


@model("status-429-quota")
async def quota(_: Answer) -> None:
    message = "You exceeded your current quota, please check your plan and billing details."
    raise HttpFailure(429, message, kind="insufficient_quota", code="insufficient_quota")


@model("status-429[-<Retry-After seconds>]", r"status-429(?:-(\d+(?:\.\d+)?))?")
async def rate_limited(_: Answer, seconds: str | None) -> None:
    raise HttpFailure(
        429, "Rate limit reached", kind="rate_limit", code="rate_limit_exceeded", Retry_After=seconds or "7"
    )


@model("status-<code>", r"status-(\d{3})")
async def status(_: Answer, code: str) -> None:
    """The text holds what must never reach a person."""
    raise HttpFailure(int(code), "upstream says no to key sk-SECRET-0123456789 at http://10.0.0.1/v1")


@model("flaky-<failures>-<status>", r"flaky-(\d+)-(\d{3})")
async def flaky(answer: Answer, failures: str, code: str) -> None:
    """Fails so many times, then echoes; the count starts anew with DELETE /requests."""
    left = answer.failures_left.setdefault(answer.model, int(failures))
    if left:
        answer.failures_left[answer.model] = left - 1
        raise HttpFailure(int(code), "not yet", Retry_After="0.2")
    await echo(answer)


@model("late-<ms>-<status>", r"late-(\d+)-(\d{3})")
async def late(answer: Answer, milliseconds: str, code: str) -> None:
    """Fails after a while."""
    await asyncio.sleep(int(milliseconds) / 1000)
    await status(answer, code)


@model("hang-first")
async def hang_first(_: Answer) -> None:
    """Not even headers."""
    await asyncio.sleep(FOREVER)


@model("hang-headers")
async def hang_headers(answer: Answer) -> None:
    """Headers and nothing else."""
    await answer.start()
    await asyncio.sleep(FOREVER)


@model("hang-mid")
async def hang_mid(answer: Answer) -> None:
    await answer.token("Half ")
    await answer.token("an ")
    await asyncio.sleep(FOREVER)


@model("close-first")
async def close_first(answer: Answer) -> None:
    await answer.close()


@model("close-mid")
async def close_mid(answer: Answer) -> None:
    """The connection breaks inside the answer."""
    await answer.token("Half ")
    await answer.token("an ")
    await asyncio.sleep(0.05)  # the tokens are on their way before the reset overtakes them
    await answer.close()


@model("end-mid")
async def end_mid(answer: Answer) -> None:
    """The response ends well-formed, without a finish reason, as behind a proxy that gave up."""
    answer.sends_usage = answer.sends_done = False
    await answer.token("Half ")
    await answer.token("an ")


@model("done-mid")
async def done_mid(answer: Answer) -> None:
    """[DONE] without a finish reason."""
    answer.sends_usage = False
    await answer.token("Half ")


@model("broken-json")
async def broken_json(answer: Answer) -> None:
    await answer.token("Half ")
    await answer.write(b'data: {"id": "chatcmpl-1", "choices": [{"index": 0, "del\n\n')
    await answer.token("never seen")
    await answer.finish()


@model("inband-error[-<status>]", r"inband-error(?:-(\d{3}))?")
async def inband_error(answer: Answer, code: str | None) -> None:
    """An error inside a stream that began with 200."""
    await answer.token("Half ")
    error = {"message": "The server is overloaded, key sk-SECRET-0123456789", "type": "server_error"}
    await answer.data({"error": {**error, "code": int(code) if code else "server_error"}})
    answer.sends_usage = False


# --- Facts in an exchange -------------------------------------------------------------------------


@model("distiller")
async def distiller(answer: Answer) -> None:
    """What `memory.facts` asks for: each sentence of the person's that begins with "I am", as a fact.
    Anything else it is asked it echoes."""
    said = re.search(r"<person \w+>\n(.*)\n</person \w+>", answer.prompt, re.DOTALL)
    if said is None:
        await echo(answer)
        return
    facts = [
        {"text": f"The user is {what}.", "quote": f"I am {what}", "confidence": 0.9, "supersedes": None}
        for what in re.findall(r"\bI am ([^.!?]+)", said[1])
    ]
    await say(answer, [json.dumps({"facts": facts})])


@model("distiller-unreadable-<times>", r"distiller-unreadable-(\d+)")
async def unreadable(answer: Answer, times: str) -> None:
    """Talks instead, so many times; then as `distiller`. Counts as `flaky-...` does."""
    left = answer.failures_left.setdefault(answer.model, int(times))
    if left:
        answer.failures_left[answer.model] = left - 1
        await say(answer, ["Sure! ", "Here is what I found."])
    else:
        await distiller(answer)


@model("distiller-flaky-<failures>-<status>", r"distiller-flaky-(\d+)-(\d{3})")
async def flaky_distiller(answer: Answer, failures: str, code: str) -> None:
    """Fails so many times; then as `distiller`. Counts as `flaky-...` does."""
    left = answer.failures_left.setdefault(answer.model, int(failures))
    if left:
        answer.failures_left[answer.model] = left - 1
        raise HttpFailure(int(code), "not yet")
    await distiller(answer)


@model("distiller-late-<ms>", r"distiller-late-(\d+)")
async def late_distiller(answer: Answer, milliseconds: str) -> None:
    """As `distiller`, after a while."""
    await asyncio.sleep(int(milliseconds) / 1000)
    await distiller(answer)
