"""What everything else may use: ids, units, time and chance as ports, the error roots.

Imports nothing of ours, and nothing that does I/O.
"""
