"""RFC 9457 problems for whatever goes wrong."""

from http import HTTPStatus

from asgi_correlation_id import correlation_id
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ecg.recording import RecordingError
from serving.schemas import ProblemOut

ADVICE = {404: "there is nothing here; /docs lists the paths", 405: "this path takes another method; see /docs"}
BUG = "something went wrong here, not with your request; report it with this request_id"
DISCONNECTED = "the connection was closed before the request was complete: send it again"


class Problem(Exception):
    """An error for the client; detail says what is wrong and what to do."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


HANDLED = (Problem, RecordingError, HTTPException, RequestValidationError, ClientDisconnect)


def problem_of(error: Exception) -> Problem:
    """What the client is told of an exception: of one of our own bugs only that it is one."""
    match error:
        case Problem():
            return error
        case RecordingError():
            return Problem(422, str(error))
        case HTTPException():
            return Problem(error.status_code, ADVICE.get(error.status_code, error.detail), error.headers)
        case RequestValidationError():
            found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            return Problem(422, f"{found}; see /docs")
        case ClientDisconnect():
            return Problem(400, DISCONNECTED)
    return Problem(500, BUG)


def problem_out(problem: Problem) -> ProblemOut:
    return ProblemOut(
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        request_id=correlation_id.get(),
    )


def problem_response(problem: Problem) -> Response:
    content = problem_out(problem).model_dump_json()
    return Response(content, problem.status, problem.headers, media_type="application/problem+json")


async def on_error(request: Request, error: Exception) -> Response:
    return problem_response(problem_of(error))
