"""Structured concurrency for the shells: services, the supervisor, clocks, logs, background work.

Outside this package nobody calls `create_task`, `gather`, `shield` or `wait_for`.
"""
