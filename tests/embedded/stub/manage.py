"""A stand-in for the project's manage.py: the same three commands, ready at once.

A command ends with exit code 3 as soon as the file `NAME.dies` appears in the data folder (and removes it).
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOME = Path(os.environ["KONSTRUCT_HOME"])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def die_when_told(name: str) -> None:
    order = HOME / f"{name}.dies"
    while not order.exists():
        time.sleep(0.02)
    order.unlink()
    print(f"{name} has been told to die", flush=True)
    os._exit(3)


def main(name: str) -> None:
    threading.Thread(target=die_when_told, args=[name], daemon=True).start()
    if name == "prepare":
        if (HOME / "cannot-prepare").exists():
            sys.exit("CommandError: The database could not be migrated.")
        accounts = [{"email": "olivia@demo.example", "password": "p4ss", "role": "owner"}]
        (HOME / "first-sign-in.json").write_text(json.dumps(accounts))
    elif name == "serve":
        ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
    else:
        print("worker up", flush=True)
        threading.Event().wait()


with suppress(KeyboardInterrupt):
    main(sys.argv[1])
