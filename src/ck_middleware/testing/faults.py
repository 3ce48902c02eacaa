"""This file is how the provider of tests misbehaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from ck_middleware.testing import forging
from ck_middleware.testing.forging import Change, Signer, unchanged

LONG = 3600  # seconds, where a test waits for nobody

Honest = Callable[[], Awaitable[Response]]
Answer = Callable[[Request, Honest], Awaitable[Response]]


@dataclass
class Faults:
    """How the provider misbehaves, each until it is set back or `heal` is called.

    A change takes what the strict provider would say and gives what is said instead. Endpoints are `discovery`, `jwks`,
    `auth`, `token`, `userinfo` and `logout`.
    """

    discovery: Change = unchanged
    jwks: Change = unchanged
    callback: Change = unchanged  # the query of the redirect back; a list stands for a repeated parameter
    token_response: Change = unchanged
    id_token_claims: Change = unchanged
    id_token_header: Change = unchanged
    sign: Signer = forging.rs256
    raw_id_token: Callable[[str], str] = str
    rotate_before_signing: bool = False  # once: between the fetch of the keys and the next signature
    userinfo: Change = unchanged
    error: Change = unchanged  # the JSON of every error
    _answers: dict[str, list[Answer]] = field(default_factory=dict)

    def answer(self, endpoint: str, answer: Response | Answer, *, times: int | None = None) -> None:
        """Answer with this in place of the strict provider, always or so many times."""
        chosen = _instead(answer) if isinstance(answer, Response) else answer
        self._answers[endpoint] = [chosen] * (times or 100_000)

    def fail(self, endpoint: str, status: int = 500, *, times: int | None = None) -> None:
        """Answer with an error, and no word more."""
        self.answer(endpoint, Response(status_code=status), times=times)

    def hang(self, endpoint: str, seconds: float = LONG, *, times: int | None = None) -> None:
        """Answer well, but so late. Who hangs up is waited for no longer."""
        self.answer(endpoint, _late(seconds), times=times)

    def drip(self, endpoint: str, *, times: int | None = None) -> None:
        """Answer well, but one byte a second."""
        self.answer(endpoint, _dripping, times=times)

    def huge(self, endpoint: str, size: int = 2 << 20, *, times: int | None = None) -> None:
        """Answer well, with so many bytes of white space after it."""
        self.answer(endpoint, _padded(size), times=times)

    def redirect(self, endpoint: str, to: str, *, status: int = 302, times: int | None = None) -> None:
        self.answer(endpoint, RedirectResponse(to, status), times=times)

    def heal(self, endpoint: str | None = None) -> None:
        """Behave again: at one endpoint, or altogether."""
        if endpoint is None:
            vars(self).update(vars(Faults()))
        else:
            self._answers.pop(endpoint, None)

    def next_answer(self, endpoint: str) -> Answer | None:
        answers = self._answers.get(endpoint)
        return answers.pop() if answers else None


def _instead(response: Response) -> Answer:
    async def answer(request: Request, honest: Honest) -> Response:  # noqa: ARG001  # nobody is asked
        return response

    return answer


def _late(seconds: float) -> Answer:
    async def answer(request: Request, honest: Honest) -> Response:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_hung_up(request), seconds)
        return await honest()

    return answer


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _dripping(request: Request, honest: Honest) -> Response:  # noqa: ARG001
    answer = await honest()

    async def bytes_one_by_one() -> AsyncIterator[bytes]:
        for octet in bytes(answer.body):
            yield bytes([octet])
            await asyncio.sleep(1)

    return StreamingResponse(bytes_one_by_one(), answer.status_code, {"content-type": "application/json"})


def _padded(size: int) -> Answer:
    async def answer(request: Request, honest: Honest) -> Response:  # noqa: ARG001
        honestly = await honest()
        return Response(bytes(honestly.body) + b" " * size, honestly.status_code, media_type="application/json")

    return answer
