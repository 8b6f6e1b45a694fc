"""Runs a command with what has to be set between fork and exec. A script of its own, standard library only.

    python -I -S shim.py '{"parent": PID, "user": [UID, GID], "capability": N, "enter": DIR}' COMMAND...

Every key is optional. It is a process rather than a `preexec_fn`, since Python code between fork and exec may
deadlock; and it starts as the launcher's user, so it can read itself where the command's user could not.
Exits with 126 and a line on stderr where something cannot be set, else it becomes the command.
"""

import ctypes
import json
import os
import signal
import sys
from typing import Any

# linux/prctl.h and linux/capability.h
_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP = 28, 4
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAPABILITY_VERSION_3 = 0x20080522


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _become(libc: ctypes.CDLL, uid: int, gid: int, capability: int | None) -> None:
    """Gives up root for (uid, gid), but keeps one capability where it is asked for.

    An ambient capability outlives exec and touches no file: capabilities(7). NO_SETUID_FIXUP lets it outlive
    setuid, and is what makes access(2), with which initdb looks for its programs, take notice of it.
    """
    if capability is not None:
        _checked(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
        data = (_CapabilityData * 2)()
        data[0].effective = data[0].permitted = data[0].inheritable = 1 << capability
        _checked(libc.capset(ctypes.byref(header), data))
        _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def main(options: dict[str, Any], command: list[str]) -> None:
    # The launcher holds its signals back around the fork; the command must not inherit that.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    libc = ctypes.CDLL(None, use_errno=True)
    if options.get("user"):
        uid, gid = options["user"]
        _become(libc, uid, gid, options.get("capability"))
    if (parent := options.get("parent")) and sys.platform == "linux":
        # After setuid, which clears it. SIGKILL: the launcher is gone, nobody would be left to insist.
        _checked(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        if os.getppid() != parent:
            sys.exit(126)  # it died before the line above
    if enter := options.get("enter"):
        os.chdir(enter)
    os.execv(command[0], command)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]), sys.argv[2:])
    except OSError as error:
        print(f"{sys.argv[2]}: {error.strerror}", file=sys.stderr)
        sys.exit(126)
