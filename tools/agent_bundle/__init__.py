"""Builds the agent bundle: a directory that runs the agent in any image (`make agent-bundle`).

Start with `build`, which says the steps; each is a module of its own, and `recipe` says what goes
in. Why it is built so is in docs/explanation/agent-bundle.md.
"""
