"""Text that every later stage can hold: valid Unicode without NUL.

JSON may carry half a surrogate pair (`"\\ud83d"`) and NUL; Python's str takes both, UTF-8 refuses the
first and PostgreSQL the second. Providers split pairs over two deltas, since they cut between tokens.
"""

import re

REPLACEMENT = "\ufffd"
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` with its surrogate pairs joined, lone halves replaced by U+FFFD and NUL dropped."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii() or not _SURROGATES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Cleaner:
    """`clean` for a text that comes in pieces: what it returns joined up is `clean` of the whole."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def feed(self, piece: str) -> str:
        """The next clean piece, maybe "": the first half of a pair waits for what follows it."""
        if piece.isascii() and not self._half and "\0" not in piece:
            return piece
        # NUL goes first: dropped between two halves, it must not keep them apart.
        piece = self._half + piece.replace("\0", "")
        self._half = ""
        if "\ud800" <= piece[-1:] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        return clean(piece)

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a half that nothing completed, else ""."""
        half, self._half = self._half, ""
        return REPLACEMENT if half else ""
