"""Whether what the operator has set can be used at all: asked before anything is started.

Each check returns nothing, or raises StartFailure with a sentence that names the setting.
"""

import errno
import socket
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import redis

from konstruct.embedded.failure import StartFailure, first_line

_SECONDS = 5


def check_port(host: str, port: int) -> None:
    """The address can be listened on."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as candidate:
            # As the server will: an address whose last connections are only fading away is free.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.bind(address)
            candidate.listen()
    except socket.gaierror as error:
        raise StartFailure(
            f"HOST={host} is no address of this machine ({error.strerror}): set HOST."
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartFailure(f"Port {port} on {host} is in use already: set PORT to a free one.") from error
        if error.errno == errno.EACCES:
            raise StartFailure(
                f"Port {port} may not be used by this user: set PORT to one above 1023."
            ) from error
        raise StartFailure(
            f"{host}:{port} cannot be listened on ({error.strerror}): set HOST or PORT."
        ) from error


def free_port() -> int:
    """A port of the loopback interface that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as candidate:
        return candidate.getsockname()[1]


def check_redis(url: str) -> None:
    """The server of REDIS_URL answers a PING."""
    try:
        with redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as client:
            client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        reason = _without_password(first_line(error), url)
        raise StartFailure(f"Redis cannot be reached ({reason}): set REDIS_URL, or leave it out.") from error


def check_database(parameters: dict[str, Any], url: str) -> None:
    """The server of DATABASE_URL takes a connection. `parameters` are Django's (HOST, PORT, USER, ...)."""
    try:
        psycopg.connect(
            host=parameters["HOST"],
            port=parameters["PORT"],
            user=parameters["USER"],
            password=parameters["PASSWORD"],
            dbname=parameters["NAME"],
            connect_timeout=_SECONDS,
        ).close()
    except psycopg.Error as error:
        reason = _without_password(first_line(error), url)
        raise StartFailure(
            f"The database cannot be reached ({reason}): set DATABASE_URL, or leave it out."
        ) from error


def _without_password(text: str, url: str) -> str:
    try:
        password = urlsplit(url).password
    except ValueError:
        return "it is no URL"
    for secret in {password, unquote(password or "")} - {None, ""}:
        text = text.replace(str(secret), "***")
    return text
