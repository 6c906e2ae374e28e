"""A limit to the time that something may take, in whatever thread it runs."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import TypeVar

AGAIN_AFTER = 2.0  # seconds, should the exception have been lost in code that swallows it, such as a `__del__`
Result = TypeVar("Result")


class OverBudget(BaseException):
    """The time is over. No `except Exception` on the way can take it for its own."""


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """What `call()` returns.

    Raises:
        OverBudget: it has not come to its end after so many seconds. It is raised in this thread, between two steps of
            Python: one step that takes long, such as a power of huge integers, ends first.
    """
    done, lock = threading.Event(), threading.Lock()
    thread = ctypes.c_ulong(threading.get_ident())

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            with lock:
                if not done.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(OverBudget))
            wait = AGAIN_AFTER

    def settle() -> None:
        with lock:
            done.set()
        for _ in range(3):  # an exception that was sent comes at a jump. To take it back would leave
            pass  # the interpreter looking for it at every step from then on

    try:
        threading.Thread(target=watch, name="nngrad budget", daemon=True).start()
        return call()
    finally:
        try:
            settle()
        finally:  # should it have come just then
            settle()
