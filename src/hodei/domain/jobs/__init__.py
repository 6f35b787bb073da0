"""The life of a job: what it is (`spec`), where it can be (`states`), what happens to it
(`events`), what may happen next (`decide`) and what it is then (`evolve`).
"""
