"""How the site is built: Sphinx over Markdown that reads well as it is."""

project = "Hodei Jobs"
author = "The Hodei Jobs authors"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Hodei Jobs"
exclude_patterns = ["_build"]
myst_heading_anchors = 4
