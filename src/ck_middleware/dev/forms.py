"""This file is how the development provider reads what is sent to it, and the two ways in which it says no."""

from urllib.parse import parse_qsl

from starlette.requests import Request

LARGEST_FORM = 1 << 16  # bytes
MOST_FIELDS = 100
FORM = "application/x-www-form-urlencoded"


class Refusal(Exception):
    """An error that the client reads (RFC 6749, sections 4.1.2.1 and 5.2): a code, and a sentence for its author."""

    def __init__(self, error: str, description: str, *, status: int = 400, challenge: str = "") -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status
        self.challenge = challenge  # value of WWW-Authenticate


class Unanswerable(Exception):
    """An error that a person reads on a page: nobody can be trusted to be sent back with it."""


def read_parameters(encoded: bytes) -> dict[str, str]:
    """The parameters by name. Those without a value count as absent, repeated ones are refused (RFC 6749, 3.1).

    Raises `Refusal`.
    """
    try:
        pairs = parse_qsl(encoded.decode("ascii"), max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as exc:
        raise Refusal("invalid_request", "the parameters are not form-encoded text") from exc
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name in parameters:
            raise Refusal("invalid_request", f"{name} is given more than once")
        parameters[name] = value
    return parameters


async def read_form(request: Request) -> dict[str, str]:
    """The parameters of a posted form.

    Raises `Refusal`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refusal("invalid_request", f"the body must be {FORM}")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise Refusal("invalid_request", "the body is too large", status=413)
    return read_parameters(body)
