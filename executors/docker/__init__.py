"""Containers: the executor ``docker``, and the client of the engine that its neighbours use as well."""
