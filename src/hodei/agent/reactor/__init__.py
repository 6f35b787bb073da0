"""What the agent decides, pure: `Reactor.handle(event, now) -> effects`.

No clock, no I/O, no event loop. `events` come from the shell, `effects` and `messages` go to it;
`core` takes them apart, `job` knows one attempt's life, `output` where its bytes are.
"""
