"""Which job may go to which worker, in which order, and how many workers are wanted."""
