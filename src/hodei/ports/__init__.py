"""What the core needs from the world, as Protocols. Adapters and providers implement them.

`stores` the durable state of jobs and workers, `durable` that of the saga engine, `logs` the jobs'
output, `providers` the infrastructure, `pki` certificates. Each method states what its implementer
owes; the suites under `tests/conformance` hold every implementation to it.
"""
