"""The shell of the engine: finds runs, lets them grow by a round, and commits.

`engine` is what a server starts and what starts the rest: `shards` who owns what, `rounds` one round
of one run, `upkeep` timers and time-outs, `worker` the activities that servers carry out themselves.
`client` is for everybody who starts runs and talks to them, on any server.
"""
