"""Providers as operators decide about them: pure data and rules."""
