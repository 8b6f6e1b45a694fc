"""Answers that survive: drops, resumes, several tabs, several processes.

All with real server processes, an upstream in a process of its own, the embedded PostgreSQL and a real
Redis-protocol server.
"""
