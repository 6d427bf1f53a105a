"""Stack files made from what other tools read: one pure module a format, one renderer, one table of formats."""
