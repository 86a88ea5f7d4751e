"""From results to something to look at: one HTML file, the same tables and figures as files, and a trace browser.

Reads `study.results.Results` and nothing else of a run; `write.write_report` is the door. Everything a model wrote is
hostile text: it reaches the page as data that a script puts into text nodes, never as HTML, and a content security
policy lets no other script run.
"""
