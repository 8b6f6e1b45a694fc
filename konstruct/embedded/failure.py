"""How a start fails: with one sentence for the person who typed `bin/run`."""

from pathlib import Path


class StartFailure(Exception):
    """The start cannot go on. Its text is a sentence that names the setting to change and holds no secret."""


def tail(log: Path, lines: int = 12, *, since: int = 0) -> str:
    """The last lines of a log beyond its first `since` bytes, or a word on why there are none.

    Reads at most 16 KiB.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(since, log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"({log} cannot be read: {error.strerror})"
    return "\n".join(text.rstrip().splitlines()[-lines:]) or f"({log} is empty)"


def first_line(error: BaseException) -> str:
    """What a library's exception says, on one line and without its trailing full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".")
