"""The life of a job.

What it is (`spec`, `limits`), where it can be (`states`), what happens to it (`events`), what may
happen next (`decide`) and what it is then (`evolve`).
"""
