"""This file is the one stream of what happens here, with no word of whom it happens to.

The log is its first observer. Metrics and traces are others, which an app may name in the setting `observers`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from ck_middleware.errors import LoginRefused, StoreUnavailable
from ck_middleware.log import DEBUG, ERROR, INFO, event, is_heard, where_raised

T = TypeVar("T")

OK: Final = "ok"
OTHER: Final = "other"
QUIET: Final = 5.0  # seconds in which an observer that fails is complained of once

# What happens, and which of its facts are of few values, so that it can be counted by them.
LABELS: Final[dict[str, tuple[str, ...]]] = {
    "login_started": (),
    "login_succeeded": (),
    "login_refused": ("code",),
    "callback": ("outcome",),
    "refresh": ("outcome",),
    "recheck": ("outcome",),
    "logout": ("by", "outcome"),
    "session_ended": ("by",),
    "provider_call": ("endpoint", "outcome"),
    "store_call": ("operation", "outcome"),
    "trouble": ("kind",),
}


def _codes(kind: type[LoginRefused]) -> Iterator[str]:
    yield kind.code
    for narrower in kind.__subclasses__():
        yield from _codes(narrower)


CODES: Final = frozenset(_codes(LoginRefused))
VALUES: Final[dict[str, frozenset[str]]] = {
    "code": CODES,
    "outcome": CODES | {OK, "refused", "failed", "went_on", "cancelled", "error", StoreUnavailable.code},
    "by": frozenset({"person", "provider", "app"}),
    "endpoint": frozenset({"discovery", "keys", "token", "userinfo", "revocation"}),
    "operation": frozenset({"get", "put", "swap", "touch", "add", "delete", "owned", "present"}),
    "kind": frozenset({"provider", "listener", "internal"}),
}


@dataclass(frozen=True, slots=True)
class Observation:
    """Something that happened: `name` is one of `LABELS`. Nothing in it says whom it happened to, or is a secret."""

    name: str
    level: int  # as `logging` has it
    text: str  # of the line in the log; empty when there is none
    seconds: float | None = None  # how long it took
    facts: Mapping[str, object] = field(default_factory=dict)  # what else the line has

    @property
    def labels(self) -> dict[str, str]:
        """Those facts that are of few values, whoever sends what; one that nobody expects is `other`."""
        words = {label: str(self.facts.get(label, OTHER)) for label in LABELS[self.name]}
        return {label: word if word in VALUES[label] else OTHER for label, word in words.items()}


# Called in the thread or the event loop that serves people: it must not block. One that also has a method
# `began(observation)` is told when what takes time begins, and what that gives is called with how it ended, in the same
# thread or task.
Observer: TypeAlias = Callable[[Observation], None]


class Observers:
    """Tells the log, and then the app's own observers. An exception in one is logged and harms nobody's login."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self._beginning = [began for one in observers if (began := getattr(one, "began", None))]
        self._complained: dict[str, float] = {}

    def __bool__(self) -> bool:
        """Whether the app has any. What is for them alone is not even measured without."""
        return bool(self._observers)

    def note(self, name: str, text: str, *, level: int = INFO, seconds: float | None = None, **facts: object) -> None:
        """Something happened. `text` and `facts` are the line in the log; a fact that is `None` is none.

        Without a text there is no line: what all requests do, or what has a line already, is for observers alone.
        """
        facts = {name: fact for name, fact in facts.items() if fact is not None}
        took = {} if seconds is None else {"seconds": round(seconds, 6)}
        if text:
            event(level, name, text, **facts, **took)
        if self._observers:
            self._tell(self._observers, Observation(name, level, text, seconds, _shown(facts)))

    @contextmanager
    def timed(self, name: str, text: str = "", **facts: object) -> Iterator[dict[str, object]]:
        """Something goes on in here. What is put into its facts meanwhile is told with them.

        `outcome` is `ok`, or the code of what was raised, unless it is put there.
        """
        if not self._observers and not (text and is_heard(DEBUG)):
            yield facts
            return
        endings = self._tell(self._beginning, Observation(name, DEBUG, text, None, _shown(facts)))
        began = time.perf_counter()
        try:
            yield facts
        except BaseException as exc:
            facts.setdefault("outcome", _outcome(exc))
            raise
        finally:
            facts.setdefault("outcome", OK)
            seconds = time.perf_counter() - began
            # What began last ends first.
            self._tell(endings[::-1], Observation(name, DEBUG, text, seconds, _shown(facts)))
            self.note(name, text, level=DEBUG, seconds=seconds, **facts)

    def _tell(self, told: Sequence[Callable[[Observation], T]], observation: Observation) -> list[T]:
        """What each of them gives. One that fails gives nothing."""
        answers = []
        for one in told:
            try:
                answers.append(_plain(one(observation)))
            except Exception as exc:  # noqa: BLE001  # it is the app's code, and what it was told of has happened
                self._complain(one, observation, exc)
        return answers

    def _complain(self, observer: object, observation: Observation, exc: Exception) -> None:
        which = getattr(observer, "__qualname__", type(observer).__qualname__)
        now = time.monotonic()
        if now - self._complained.get(which, -QUIET) >= QUIET:
            self._complained[which] = now
            told = {"about": observation.name, "kind": type(exc).__name__, "at": where_raised(exc)}
            event(ERROR, "observer_failed", f"the observer {which} raised an exception", **told)


def _shown(facts: Mapping[str, object]) -> Mapping[str, object]:
    """What observers see: what none of them can change for the next one, or for the log.

    An exception is its text. It would lead to the frames in which it was raised, and to every secret there.
    """
    texts = {name: str(fact) for name, fact in facts.items() if isinstance(fact, BaseException)}
    return MappingProxyType({**facts, **texts})


def _outcome(exc: BaseException) -> str:
    """A word for what was raised: cancellation, and a greenlet's exit, are no `Exception`."""
    if isinstance(exc, LoginRefused | StoreUnavailable):
        return exc.code
    return "error" if isinstance(exc, Exception) else "cancelled"


def _plain(answer: T) -> T:
    """What an observer gave. Raises `TypeError` for what is still to be awaited: it was told of nothing then."""
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError("the observer gave something to await; give a plain function")
    return answer


LOG_ALONE: Final = Observers()
