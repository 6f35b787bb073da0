"""The worker agent: dials the server, runs what it is given, streams the output back.

Start with `reactor` (what the agent decides, pure), then `shell` (which performs it). Bootstrap,
enrolment and the stream are in files of those names; processes are in `slots` and `keeper`.
Imports only the kernel, the domain, the wire and what its start-up time can bear; structlog and
cryptography are not among it.
"""
