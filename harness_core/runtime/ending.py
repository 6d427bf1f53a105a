"""Ending one instance: its own stop command where it has one, else its signal, then force, and the truth about it."""

from __future__ import annotations

import asyncio
import logging

from harness_core.domain.effects import Stop
from harness_core.domain.executor import ExecRequest, ExecSession, Executor, StopReport
from harness_core.domain.spec import signal_number
from harness_core.domain.states import Exit, Handle
from harness_core.domain.unit import Unit
from harness_core.runtime.answers import ask, marker, words
from harness_core.runtime.clock import Clock
from harness_core.runtime.launch import Launch

__all__ = ["STOP_DEADLINE", "end_instance"]

log = logging.getLogger(__name__)

#: on top of the grace: the time to kill and to make sure
STOP_DEADLINE = 25.0


async def end_instance(
    executor: Executor, handle: Handle, unit: Unit, effect: Stop, launch: Launch, clock: Clock
) -> StopReport:
    """End an instance and say what is left of it. Raises nothing but the cancellation of its own task."""
    grace = effect.grace
    try:
        async with asyncio.timeout(grace + STOP_DEADLINE):
            if unit.spec.stop.command and grace > 0 and unit.exit is None:
                grace = await _by_command(executor, handle, unit, effect, launch, clock)
            signum = signal_number(unit.spec.stop.signal)
            stop = executor.stop(marker(unit, effect.epoch), handle, signal=signum, grace=grace)
            return await ask(stop, StopReport)
    except TimeoutError:
        return StopReport(None, leftovers=(f"no answer within {effect.grace + STOP_DEADLINE:g} s",))
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # a plugin may raise anything; a stop that broke has proven nothing
        log.warning("stopping %s broke", unit.key, exc_info=error)
        return StopReport(None, leftovers=(words(error),))


async def _by_command(
    executor: Executor, handle: Handle, unit: Unit, effect: Stop, launch: Launch, clock: Clock
) -> float:
    """Run the unit's own stop command in place of the signal, and let it take effect within the grace.

    Returns the grace that is left to the executor: what the command did not use when it failed, so that the signal is
    sent after all, and nothing when the instance outlived it.
    """
    began, identity = clock.monotonic(), marker(unit, effect.epoch)
    session: ExecSession | None = None
    try:
        async with asyncio.timeout(effect.grace):
            spec, command = launch.stop_command(unit)
            session = await executor.exec(identity, handle, spec, ExecRequest(command))
            await session.write_eof()
            async for _stream, _data in session.output():
                pass
            if (exit_ := await session.wait()).success:
                await ask(executor.wait(identity, handle), Exit)
            else:
                log.warning("the stop command of %s: %s", unit.key, exit_)
    except TimeoutError:
        log.warning("the stop command of %s did not end it within %g s", unit.key, effect.grace)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the signal comes after it all the same
        log.warning("the stop command of %s could not be run: %s", unit.key, words(error))
    finally:
        if session is not None:
            await session.close()
    return max(0.0, effect.grace - (clock.monotonic() - began))
