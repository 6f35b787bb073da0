"""How the site is built: Sphinx over Markdown that reads well as it is."""

project = "Hodei Jobs"
author = "The Hodei Jobs authors"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Hodei Jobs"
exclude_patterns = ["_build"]
myst_heading_anchors = 4
# Hosts of the repository draw Mermaid; here the text of a diagram has to do, and no lexer knows it.
suppress_warnings = ["misc.highlighting_failure"]
