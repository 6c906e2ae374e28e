"""A limit to the time that something may take, in whatever thread it runs."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN_AFTER = 2.0  # seconds, should the exception have been lost in code that swallows it, such as a `__del__`


class OverBudget(BaseException):
    """The time is over. No `except Exception` on the way can take it for its own."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OverBudget in this thread if the block has not ended after so many seconds.

    It is raised between two steps of Python: one step that takes long, such as a power of huge integers, ends first.
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

    watcher = threading.Thread(target=watch, name="nngrad budget", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        while not done.is_set():
            try:
                with lock:
                    done.set()
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, None)  # one on its way comes too late
            except OverBudget:
                pass
        watcher.join()
