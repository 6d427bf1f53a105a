"""The executor ``docker-attach``: containers that somebody else started, looked after and never ended."""
