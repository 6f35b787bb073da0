"""Hodei's own sagas: the operations of the platform that outlive the server that runs them.

A saga here is workflow code over `hodei.durable`. It names its activities; `application` implements
them, and `server` binds the two. Jobs are no sagas: their hot path is the event-sourced state
machine. docs/explanation/built-in-sagas.md tells of each.
"""
