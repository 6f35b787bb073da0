"""The control plane as a process: configuration, the data directory, the composition root, running.

`bootstrap` builds every part and joins them; nothing else knows them all.
"""
