"""The rules: pure functions and tables over plain data. No I/O, no clock, no async.

`jobs` is the life of a job, `workers` that of a worker, `placement` which may go to which,
`logs` how output is addressed. Each decision takes the state and returns the events that follow;
`evolve` applies them. Start at `jobs/states.py`.
"""
