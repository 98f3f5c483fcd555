"""How long tests wait for other processes."""

PATIENCE = 300.0
"""Seconds for a process or a server to start, to end or to answer: a busy machine may take minutes to start two."""
