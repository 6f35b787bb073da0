"""The agent's decisions, pure: `(state, event) -> effects`."""
