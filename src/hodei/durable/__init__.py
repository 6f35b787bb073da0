"""The saga engine: workflows as deterministic Python over a history of events.

Where to start: `events` is the grammar of a history, `replay.activate` the engine as a function,
`loop` the event loop on which workflow code runs and what the code may call, `tasks` what happens to
an activity on its way, `runner` the shell that commits. The model is told in
docs/explanation/durable-execution.md.
"""
