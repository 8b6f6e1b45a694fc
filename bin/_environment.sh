# Sourced by bin/run and bin/test: goes to the project's root and sees to its .venv.
# environment_for run|test   leaves $python, the environment's interpreter, or ends with one sentence.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
cd -- "$root" || exit 1
python=$root/.venv/bin/python

_good_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

environment_for() {
    # The environment's own Python first: a newer one on the machine is no reason to install all anew.
    for _found in "$python" python3.13 python3.12 python3.11 python3 python3.14 ''; do
        if [ -n "$_found" ] && _good_enough "$_found"; then break; fi
    done
    if [ -z "$_found" ]; then
        echo "Konstruct needs Python 3.11 or newer, and found none: install python3." >&2
        exit 1
    fi
    "$_found" -I bin/_environment.py "$1" || exit $?
}
