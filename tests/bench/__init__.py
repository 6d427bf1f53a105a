"""How fast it is, beside the tools that people know: ``./run bench``."""
