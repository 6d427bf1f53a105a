"""The executor ``process-attach``: processes that somebody else started, looked after and never ended."""
