"""What employees remember: the window (short term) and the memories of people (long term).

Knows neither `agents` nor `chat`: who speaks, which employee listens and which message something comes
from are ids here, and a model that is asked for anything is handed in by the caller.
"""
