#!/usr/bin/env python3
"""Django's command line for Konstruct."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "konstruct.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError
    from psycopg_pool import PoolTimeout

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        if not isinstance(error.__cause__, PoolTimeout):
            raise
        sys.exit(
            "The database cannot be reached. Is bin/run running on this KONSTRUCT_HOME? With a PostgreSQL of"
            " your own: set DATABASE_URL."
        )


if __name__ == "__main__":
    main()
