"""How a command ends badly: one place that turns every error into words on standard error and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from harness.cli.settings import Settings
from harness.cli.terminal import Output, standard_streams
from harness_core.domain.errors import ExitCode, HarnessError, InternalError, OperationFailed

__all__ = ["end_quietly", "guarded", "report"]


def guarded(settings: Settings, work: Callable[[], int]) -> int:
    """Run ``work`` and return its exit code; its errors are told here and go no further."""
    try:
        return work()
    except HarnessError as error:
        return report(settings, error)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # whoever read us has read enough (harness logs | head)
        end_quietly()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _unexpected(settings, error)
        end_quietly()
        return report(settings, OperationFailed("cannot write the output: no space left on the device"))
    except Exception as error:  # noqa: BLE001 - the border to the user: a defect of ours becomes no page of traceback
        return _unexpected(settings, error)


def report(settings: Settings, error: HarnessError) -> int:
    """Tell one error in the manner that was asked for, and return its exit code."""
    # imported here, as most commands end well
    import json

    from harness.cli.render.data import error_document
    from harness.cli.render.failure import error_lines

    _, err = standard_streams(settings.color)
    if settings.machine:
        body = error_document(error.message, error.code, error.hint, int(error.exit_code), error.data)
        err.line(json.dumps(body, ensure_ascii=False))
    else:
        _findings(error, err)
        err.lines(error_lines(error.message, error.hint, err.style, error.data))
    return int(error.exit_code)


def _findings(error: HarnessError, err: Output) -> None:
    if found := error.data.get("diagnostics"):
        from harness.cli.render.diagnostics import diagnostic_lines

        err.lines([*diagnostic_lines(found, err.style), ""])


def _unexpected(settings: Settings, error: Exception) -> int:
    import traceback

    story = "".join(traceback.format_exception(error))
    if settings.verbose:
        sys.stderr.write(story)
        hint = "please report this with the lines above"
    elif path := _keep(story):
        hint = f"the details are in {path}; please report them"
    else:
        hint = "run it again with -v to see where it happened"
    return report(settings, InternalError(f"cannot go on: {type(error).__name__}: {error}", hint=hint))


def _keep(story: str) -> str:
    """Write a traceback beside the state, readable by the user alone; "" where that cannot be done."""
    import time

    from harness_core.client import locate
    from harness_core.domain.secrets import mask, mask_text

    words = [mask_text(word) for word in mask(sys.argv[1:])]
    path = os.path.join(locate.state_dir(), "client-error.log")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {words!r}\n{mask_text(story)}")
    except OSError:
        return ""
    return path


def end_quietly() -> None:
    """After a closed pipe or on a full disk: give standard output to nobody, so that the interpreter's last flush has
    nothing to say."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
