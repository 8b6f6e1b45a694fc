"""What the people do: how many ask, how often, and how fast the upstream answers them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """`streams` people ask, spread over `ramp` seconds; once all are answered, the next round begins.

    tokens: of each answer.  rate: tokens a second, 0 for as fast as the upstream can.
    Every ask is in a conversation, on a socket, of its own, so no history grows.
    """

    name: str
    title: str
    streams: int
    tokens: int
    rate: float
    rounds: int = 1
    ramp: float = 0.0

    @property
    def model(self) -> str:
        return f"stamped-{self.tokens}-{self.rate:g}"

    @property
    def asks(self) -> int:
        return self.streams * self.rounds

    @property
    def asked_tokens(self) -> int:
        return self.asks * self.tokens

    @property
    def ideal_seconds(self) -> float | None:
        """How long one round takes where nothing is in the way, from the first ask; None: unpaced."""
        return self.ramp + (self.tokens - 1) / self.rate if self.rate else None


# People a second who begin an answer in the loads of many streams.
_BEGIN = 50


def _many(streams: int, tokens: int, rate: float) -> Load:
    title = f"{streams} streams at {rate:g} tokens/s, {_BEGIN} begin a second"
    return Load(f"streams-{streams}", title, streams, tokens, rate, ramp=streams / _BEGIN)


def loads(*, quick: bool) -> list[Load]:
    """The loads of a run, lightest first."""
    return [
        Load("turns", "turns of one token, one after the other", 1, 1, 0, rounds=60 if quick else 200),
        Load("one-stream", "one stream at 50 tokens/s", 1, 250, 50, rounds=1 if quick else 3),
        Load(
            "saturating", "20 streams of 500 tokens, as fast as can be", 20, 500, 0, rounds=2 if quick else 6
        ),
        _many(100, 200, 20),
        *([] if quick else [_many(300, 300, 20)]),
    ]


def idle_sockets(*, quick: bool) -> int:
    return 200 if quick else 1000
