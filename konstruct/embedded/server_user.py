"""Whom the embedded PostgreSQL runs as. It refuses root, and must reach its files all the same."""

import json
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from konstruct.embedded.failure import StartFailure

SHIM = Path(__file__).with_name("shim.py")

# capabilities(7), the weaker first: read and search anything; and, where files are not executable for
# others either (installed under umask 077), do anything.
_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE = 2, 1


@dataclass(frozen=True)
class ServerUser:
    """The user of the server's processes: (uid, gid) to change to, or None for the launcher's own."""

    ids: tuple[int, int] | None = None
    capability: int | None = None

    def command(self, *command: str | Path, enter: Path | None = None) -> list[str]:
        """`command` (its first word an absolute path) as this user runs it, from the folder `enter`."""
        options = {"user": self.ids, "capability": self.capability, "enter": enter and str(enter)}
        return [sys.executable, "-I", "-S", str(SHIM), json.dumps(options), *map(str, command)]

    def own(self, folder: Path) -> None:
        """Gives a folder that root has made to this user."""
        if self.ids is not None:
            os.chown(folder, *self.ids, follow_symlinks=False)


def choose(data: Path) -> ServerUser:
    """The launcher's user; for root the owner of an existing `data`, else `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        return ServerUser()
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return ServerUser((owner.st_uid, owner.st_gid))
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser((entry.pw_uid, entry.pw_gid))
    raise StartFailure(
        "PostgreSQL does not run as root and there is neither a user postgres nor nobody: "
        "start bin/run as an ordinary user, or set DATABASE_URL."
    )


def with_access(user: ServerUser, *, programs: Path, folder: Path) -> ServerUser:
    """`user` as it can run PostgreSQL's `programs` in `folder`, with a capability where only that helps.

    Below a folder that only root may enter, opening that folder up would be wrong; a capability that
    the server's processes alone carry leaves it as it is.
    """
    if user.ids is None:
        return user
    for capability in (None, _CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        candidate = ServerUser(user.ids, capability)
        # It finds its way to everything that is installed, says so, and ends.
        command = candidate.command(programs / "initdb", "--show", "-D", folder / "data", enter=folder)
        probe = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        if probe.returncode == 0:
            return candidate
    raise StartFailure(
        f"The user that PostgreSQL has to run as (uid {user.ids[0]}) cannot reach {folder} or {programs} "
        f"({probe.stderr.strip()}): set KONSTRUCT_HOME to a folder every user may enter, keep the project in "
        "such a folder too, or set DATABASE_URL."
    )
