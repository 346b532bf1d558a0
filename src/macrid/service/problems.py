"""What goes wrong, as problem+json (RFC 9457): the library's sentence, a status by its class."""

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from macrid.errors import ArtifactError, MacridError, MissingExtra, TooLarge, UnknownItem
from macrid.service.storage.errors import KeyReused, StoreError

_LOG = logging.getLogger("macrid.service")
_SHOWN, _WIDEST = 5, 80  # findings of a request; letters of a value that is told back
_KIND = re.compile(r"^(constrained-)?(int|str|float|list)$|^function-|\[")  # which type was tried


class Refused(MacridError):  # noqa: N818
    """A request that is not answered although the library might.

    Args:
        status: Of HTTP.
        detail: Why, and what to do.
        headers: Of the answer.
    """

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        self.status, self.headers = status, {k.replace("_", "-"): v for k, v in headers.items()}
        super().__init__(detail)


class Busy(Refused):
    """Too much is waiting already."""

    def __init__(self, detail: str, seconds: int = 1) -> None:
        super().__init__(503, detail, Retry_After=str(seconds))


# The first class that fits decides; all else that the library refuses was asked wrongly.
_STATUS: dict[type[Exception], int] = {
    UnknownItem: 404,
    KeyReused: 422,
    StoreError: 503,
    TooLarge: 413,
    ArtifactError: 409,
    MissingExtra: 501,
}


def status_of(error: Exception) -> int:
    """The status that an error is answered with.

    Example:
        >>> status_of(UnknownItem("item 'a'")), status_of(ValueError("k is 0"))
        (404, 422)
    """
    if isinstance(error, Refused):
        return error.status
    found = (status for kind, status in _STATUS.items() if isinstance(error, kind))
    return next(found, 422 if isinstance(error, MacridError | ValueError) else 500)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says what is wrong."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return Response(to_json(content), status, headers, "application/problem+json")


def answer_to(error: Exception) -> Response:
    """The problem that an error is; one that nobody foresaw goes to the log alone."""
    status, headers = status_of(error), getattr(error, "headers", None)
    if status == 500:
        _LOG.error("a request failed", exc_info=error)
        return problem(500, "something went wrong here, not with the request; the log has it")
    if isinstance(error, StoreError) and status == 503:
        _LOG.warning("%s", error)
        headers = {"Retry-After": "2"}
    return problem(status, str(error), headers)


def sentence(findings: Sequence[Mapping[str, Any]]) -> str:
    """What pydantic found in a request, in words.

    Example:
        >>> sentence([{"loc": ("body", "k"), "msg": "Input should be a valid integer",
        ...            "type": "int_type", "input": "x"}])
        "k is 'x', but should be a valid integer"
    """
    said: dict[str, list[str]] = {}
    for finding in findings:
        subject, message = _finding(finding)
        if message not in said.setdefault(subject, []):
            said[subject].append(message)
    told = [f"{subject}{' or '.join(messages)}" for subject, messages in said.items()]
    more = f"; and {len(told) - _SHOWN:,} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more


def _finding(finding: Mapping[str, Any]) -> tuple[str, str]:
    """What it is about, and what is wrong with it."""
    place, message = _place(finding["loc"]), str(finding["msg"]).removeprefix("Input ")
    match finding["type"]:
        case "missing" if place:
            return "", f"{place} is missing"
        case "extra_forbidden":
            return "", f"there is no {place!r} here; see /openapi.json"
        case "json_invalid":
            said = finding["ctx"]["error"]
            return "", f"the body is no JSON, which is UTF-8 and has finite numbers alone: {said}"
        case "value_error" if place in ("", "controls"):  # a sentence of the library's own
            return "", message.removeprefix("Value error, ")
        case "missing" | "model_attributes_type" | "model_type" if not place:
            return "", "the body is no JSON object; send one, as application/json"
    for prefix in ("Value error, ", "String ", "List ", "Dictionary "):
        message = message.removeprefix(prefix)
    value = repr(finding["input"])
    value = value if len(value) <= _WIDEST else f"{value[:_WIDEST]}…"
    return f"{place} is {value}, but ", message


def _place(path: Sequence[Any]) -> str:
    """Where in a request, as one would write it."""
    place = ""
    for part in path[1:]:  # after body, query, path
        if isinstance(part, int):
            place += f"[{part}]"
        elif not _KIND.search(part):
            place += f".{part}" if place else part
    return place


def tell_problems(app: FastAPI) -> None:
    """Let an app answer all that goes wrong as problem+json."""

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        findings = error.errors()
        # As described, and yet asked wrongly (422), or not as described (400).
        own = all(finding["type"] == "value_error" for finding in findings)
        return problem(422 if own else 400, sentence(findings))

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else ""
        said = detail or {404: "there is nothing at this address; see /openapi.json"}.get(
            error.status_code, "this cannot be done here; see /openapi.json"
        )
        return problem(error.status_code, said, error.headers)

    async def own(_: Request, error: Exception) -> Response:
        return answer_to(error)

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(MacridError, own)
    app.add_exception_handler(ValueError, own)
