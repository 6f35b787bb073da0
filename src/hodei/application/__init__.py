"""What the control plane does, one use case a file.

A use case loads state through a port, lets the domain decide, and commits. `journal` is the way
to the store, `bus` tells what was committed, `fleet` is what is known of the living workers, and
`session` is one worker's stream. Nothing here knows protobuf, SQL or a provider by name.
"""
