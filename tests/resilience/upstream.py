"""The fake upstream as a process of its own, with a model of varied text that the question decides.

`python -m tests.resilience.upstream` prints `{"url": ...}` and serves `tests.upstream`'s models and
`varied`: asked "… [<seed>]", it writes `pieces(seed)`, which whoever knows the seed can tell beforehand.
"""

import asyncio
import contextlib
import json
import random
import re
import subprocess
import sys
from typing import Self

from tests import upstream
from tests.live.servers import ROOT, environment
from tests.upstream_models import Answer, model

WORDS = (
    "word ",
    "lorem ipsum ",
    "\n",
    "\n\n```py\nx = 1\n```\n",
    "漢字",
    "かな",
    "한국어 ",
    "👩‍👩‍👧‍👦",
    "👍🏽",
    "🇪🇸",
    "e\u0301",
    "a\u0308\u0323",
    "שלום ",
    "नमस्ते ",
    "<b>&amp;</b>",
    "\\n\"'",
)
# Deltas that are no whole characters, or nothing at all.
FRAGMENTS = ("", "", "\u0301", "\u200d", "\ufe0f", "👩", "\u202e", " ")


def pieces(seed: int) -> list[tuple[float, tuple[str, ...]]]:
    """Pauses in seconds, each followed by deltas that are written together."""
    chance = random.Random(seed)
    slow = chance.choice([0.0, 0.002, 0.01, 0.04, 0.12])
    batches = []
    for _ in range(chance.randint(1, 45 if slow < 0.05 else 12)):
        pause = chance.choice([0.0, slow, slow, chance.random() * 2 * slow])
        deltas = [
            chance.choice(WORDS if chance.random() < 0.7 else FRAGMENTS) for _ in range(chance.randint(1, 4))
        ]
        if chance.random() < 0.1:
            deltas += ["\ud83d", "\ude00"]  # one character over two deltas
        batches.append((pause, tuple(deltas)))
    return [*batches, (0.0, ("end",))]


def whole(seed: int) -> str:
    """The text of `pieces(seed)`."""
    text = "".join(delta for _, deltas in pieces(seed) for delta in deltas)
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def question(seed: int) -> str:
    return f"Write something. [{seed}]"


@model("varied")
async def varied(answer: Answer) -> None:
    asked = re.search(r"\[(\d+)\]$", answer.prompt)
    assert asked is not None, answer.prompt
    for pause, deltas in pieces(int(asked[1])):
        if pause:
            await asyncio.sleep(pause)
        for delta in deltas:
            await answer.token(delta)
    await answer.finish()


class UpstreamProcess:
    """`with UpstreamProcess() as upstream: ... upstream.url ...`"""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.resilience.upstream"],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = str(json.loads(self._process.stdout.readline())["url"])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)


async def _main() -> None:
    _, url = await upstream.serve(upstream.application(), 0)
    print(json.dumps({"url": url}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
