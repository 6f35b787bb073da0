"""The life of a worker: `states`, `events`, `worker` (what it is now), `decide`, `evolve`."""
