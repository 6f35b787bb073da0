"""The `hodei` command. Speaks to a server through `hodei.sdk` alone.

`main` is the entry and the edge where errors become exit codes; `*_commands` say what can be typed,
and import what does the work only when it is asked for: `hodei --help` must not wait for gRPC.
"""
