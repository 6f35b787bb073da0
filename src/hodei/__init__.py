"""Hodei Jobs: runs jobs on workers that it provisions on demand. Users start at `hodei.sdk`."""
