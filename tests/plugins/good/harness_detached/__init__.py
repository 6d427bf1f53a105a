"""Target type ``detached``: a process on this machine, kept by a small holder of its own."""
