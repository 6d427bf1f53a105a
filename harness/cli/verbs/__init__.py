"""One file a verb. A verb's module holds ``VERB`` (a group's: ``VERBS`` and ``HELP``) and imports neither click nor
anything of the daemon."""
