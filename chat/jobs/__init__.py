"""What happens later: jobs in the same PostgreSQL, deferred with what causes them (design decision 6).

Importing this package makes every job known to a worker (settings.PROCRASTINATE_IMPORT_PATHS).
"""

from chat.jobs import folding, remembering, sweeps, titles, vectors

__all__ = ["folding", "remembering", "sweeps", "titles", "vectors"]
