"""The handlers behind the operations table, one file a theme. ``bind_all`` gives every operation its handler."""
