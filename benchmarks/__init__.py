"""What one token, one turn and one socket cost: `python -m benchmarks`. See docs/benchmarks.md.

stage        a private PostgreSQL, the fake upstream, a workspace full of people
contestants  who is measured: each starts what it needs and gives lines to it
lines        one person's connection, as cheap as it can be
loads        what the people do
runner       lets them do it, and turns what was seen into figures
idle, wire   sockets that say nothing; round trips to the database before the model is asked
meter        CPU and memory of processes, from /proc
report       tables and JSON
"""
