"""A machine cannot be reached: said once, for all who need it."""

from __future__ import annotations

__all__ = ["LinkLost"]


class LinkLost(Exception):
    """A machine cannot be reached, or not any more. What runs there may live or not."""

    def __init__(self, reason: str, *, hint: str = "", permanent: bool = False, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        #: trying again is useless before somebody has changed something
        self.permanent = permanent
        #: the login was refused: an account may be locked after too many of these
        self.refused = refused
