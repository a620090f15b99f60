"""Cache: what any session has recorded is served again, the rest goes out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rewind_auto.calls import LiveCall, ServedCall
from rewind_auto.core import guard, redact, typed
from rewind_auto.core.errors import StoreBusyError, StoreError
from rewind_auto.core.model import FUNCTIONS, Decision, Fingerprint, Kind, Match, Request, Step
from rewind_auto.core.seam import Pauses
from rewind_auto.describe import Description
from rewind_auto.modes.source import serve
from rewind_auto.store.contract import Claimed

if TYPE_CHECKING:
    from rewind_auto.modes.run import Run


class Cache:
    """Serves recorded successes of inferences, and of functions that are said to be cached.

    Whatever else goes to an LLM host or a tool may be another thing at every call.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def begin(self, request: Request, *, upgrade: bool) -> Pauses[LiveCall | ServedCall | None]:
        """Serve a request, or let it out."""
        run = self._run
        if upgrade:
            return None
        step, description = run.describe(request)
        if step.kind is Kind.LLM or (request.library == FUNCTIONS and _is_known(request)):
            served = None
            try:
                if not request.unreadable:
                    served = yield from self._served(step, description, request)
            except StoreBusyError:
                run.runtime.lose_patience()
            except StoreError as error:
                guard.warn_once("store", f"nothing is served from the store, nor recorded: {error}")
            if served is not None:
                return served
            step.decision = Decision.MISS
        return (yield from run.send(request, step, description))

    def _served(self, step: Step, description: Description, request: Request) -> Pauses[ServedCall | None]:
        run = self._run
        step.fingerprint = Fingerprint(run.canonicalizer.exact(request), b"")
        description.start(step, run.session, run.runtime.tracing)
        patience = run.runtime.patience
        ttl = request.ttl
        found = yield from run.runtime.patiently(lambda: self._newest(step, Match.EXACT, ttl), patience)
        if found is None:
            step.fingerprint = run.canonicalizer.fingerprint(request)
            if not redact.is_clean(request.body):
                return None  # to the fingerprint, two that differ in what is taken out are one
            found = yield from run.runtime.patiently(lambda: self._newest(step, Match.RENAMED, ttl), patience)
        return serve(run, step, description, found) if found is not None else None

    def _newest(self, step: Step, match: Match, ttl: float | None) -> Claimed | None:
        run = self._run
        run.join()
        assert step.fingerprint is not None
        digest = step.fingerprint.exact if match is Match.EXACT else step.fingerprint.canonical
        ttl = min((limit for limit in (ttl, run.settings.cache_ttl) if limit), default=None)
        return run.store.reuse(step, digest, match, since=time.time() - ttl if ttl else 0.0)


def _is_known(request: Request) -> bool:
    """Whether all that a function was given is known: a class does not tell one object from another."""
    if typed.tells_apart(request.body):
        return True
    name = request.url.removeprefix("call:")
    guard.warn_once(
        f"cache {name}", f"{name} is not served from the cache: an argument is an object; give it a key"
    )
    return False
