"""This file is OpenTelemetry traces of what happens: a login that comes back, and the calls that it waits for.

Names follow the semantic conventions for HTTP and database clients where they have one. No attribute holds a token, a
code, a state, an address with a query, or whom it is about.
"""

from collections.abc import Callable, Mapping
from typing import Final

from ck_middleware.observing import OK, Observation

try:
    from opentelemetry import context, trace
except ImportError as exc:
    raise ImportError(
        "ck_middleware.contrib.otel needs a package that is not installed; run: pip install 'ck-middleware[otel]'"
    ) from exc

__all__ = ["Spans"]

Value = str | int

KINDS: Final = {
    "callback": trace.SpanKind.INTERNAL,
    "provider_call": trace.SpanKind.CLIENT,
    "store_call": trace.SpanKind.CLIENT,
}
ATTRIBUTES: Final = {  # of a span, by the name of the fact
    "endpoint": "ck.endpoint",
    "method": "http.request.method",
    "operation": "db.operation.name",
    "outcome": "ck.outcome",
    "port": "server.port",
    "server": "server.address",
    "status": "http.response.status_code",
}
FINE: Final = {OK, "went_on"}


class Spans:
    """An observer that makes a span of each callback, provider call and store call.

    They are children of whatever span is current, such as the request's of the app's own instrumentation. What takes no
    time, such as a refusal, is an event of the span in which it happens.
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("ck_middleware", tracer_provider=tracer_provider)

    def __call__(self, observation: Observation) -> None:
        if observation.name not in KINDS:
            attributes = {f"ck.{label}": word for label, word in observation.labels.items()}
            trace.get_current_span().add_event(f"ck.{observation.name}", attributes)

    def began(self, observation: Observation) -> Callable[[Observation], None]:
        """Begin a span, in which everything happens until what this gives is called."""
        name = " ".join(("ck_middleware", observation.name, *_parts(observation)))
        span = self._tracer.start_span(name, kind=KINDS[observation.name])
        token = context.attach(trace.set_span_in_context(span))

        def ended(observation: Observation) -> None:
            context.detach(token)
            outcome = observation.labels["outcome"]
            span.set_attributes(_attributes(observation.facts) | {"ck.outcome": outcome})
            if outcome not in FINE:
                span.set_attribute("error.type", outcome)
                span.set_status(trace.StatusCode.ERROR)
            span.end()

        return ended


def _parts(observation: Observation) -> list[str]:
    return [observation.labels[label] for label in ("endpoint", "operation") if label in observation.labels]


def _attributes(facts: Mapping[str, object]) -> dict[str, Value]:
    known = {ATTRIBUTES[name]: fact for name, fact in facts.items() if name in ATTRIBUTES}
    return {name: fact for name, fact in known.items() if isinstance(fact, Value)}
