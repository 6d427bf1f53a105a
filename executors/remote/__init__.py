"""Target type ``remote``: a process on another machine, reached over SSH."""
