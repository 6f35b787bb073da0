"""Where workflow code runs: an event loop that knows no time and no chance but the history's.

`event_loop` the loop, `recorder` the commands that the code gives, `context` and `saga` what authors
call, `instance` a run in memory, `guards` what keeps the code from looking at the real world. The
one place of the engine's core that may import `asyncio`; nothing here does I/O.
"""
