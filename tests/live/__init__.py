"""Real servers, real sockets: what the tests of the wire protocol stand on.

`servers` runs `manage.py serve`, `backstage` sets the scene in its database, `client` is a peer that
checks every frame it gets, `people` are the ones who act.
"""
