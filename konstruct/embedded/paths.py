"""Where everything lies in the data folder. No imports beyond the standard library: settings need it."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

# sun_path of sockaddr_un holds 108 bytes with its NUL (unix(7)); PostgreSQL adds "/.s.PGSQL.5432".
_SOCKET_PATH_LIMIT = 107
_SOCKET_NAME = "/.s.PGSQL.5432"


def _may_hold_socket(folder: Path) -> bool:
    """A comma would make two hosts of it (libpq-connect)."""
    return len(os.fsencode(f"{folder}{_SOCKET_NAME}")) <= _SOCKET_PATH_LIMIT and "," not in str(folder)


@dataclass(frozen=True)
class Home:
    """The data folder (KONSTRUCT_HOME), an absolute path, and the fixed places in it."""

    path: Path

    @property
    def postgres(self) -> Path:
        """The embedded PostgreSQL's folder; it belongs to the user the server runs as."""
        return self.path / "postgres"

    @property
    def postgres_data(self) -> Path:
        return self.postgres / "data"

    @property
    def postgres_log(self) -> Path:
        return self.logs / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        """Where the embedded PostgreSQL's socket lies: in the data folder, or, where that path is
        no good for a socket's name, in a folder of the temporary directory named after it."""
        return self._place_for_sockets("socket", "konstruct")

    @property
    def valkey_dir(self) -> Path:
        """Where the embedded valkey's socket lies, by the same rule. PostgreSQL's folder is its user's."""
        return self._place_for_sockets("valkey", "konstruct-valkey")

    def _place_for_sockets(self, inside: str, outside: str) -> Path:
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        name = f"{outside}-{os.getuid()}-{digest}"
        # TMPDIR itself may not do.
        places = (self.path / inside, Path(tempfile.gettempdir()) / name, Path("/tmp") / name)
        return next(place for place in places if _may_hold_socket(place))

    @property
    def static(self) -> Path:
        return self.path / "static"

    @property
    def media(self) -> Path:
        return self.path / "media"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def secret_key(self) -> Path:
        return self.path / "secret_key"

    @property
    def first_sign_in(self) -> Path:
        """The demo workspace's accounts, as printed by bin/run (mode 0600)."""
        return self.path / "first-sign-in.json"
