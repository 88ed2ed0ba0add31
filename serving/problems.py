"""RFC 9457 problems for whatever goes wrong."""

from http import HTTPStatus

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ecg.recording import RecordingError
from serving.schemas import ProblemOut


class Problem(Exception):
    """An answer that is an error; detail says what is wrong and what to do."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(status: int, detail: str, request_id: str) -> ProblemOut:
    return ProblemOut(title=HTTPStatus(status).phrase, status=status, detail=detail, request_id=request_id)


def problem_response(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    content = problem(status, detail, request.state.request_id).model_dump_json()
    return Response(content, status, headers, media_type="application/problem+json")


async def answer_problem(request: Request, error: Problem) -> Response:
    return problem_response(request, error.status, error.detail, error.headers)


async def answer_recording_error(request: Request, error: RecordingError) -> Response:
    return problem_response(request, 422, str(error))


async def answer_http_error(request: Request, error: HTTPException) -> Response:
    advice = {404: "there is nothing here; /docs lists the paths", 405: "this path takes another method; see /docs"}
    return problem_response(request, error.status_code, advice.get(error.status_code, error.detail), error.headers)


async def answer_bad_parameters(request: Request, error: RequestValidationError) -> Response:
    found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return problem_response(request, 422, f"{found}; see /docs")


async def answer_disconnect(request: Request, error: ClientDisconnect) -> Response:
    return problem_response(request, 400, "the connection was closed before the request was complete: send it again")


ERROR_HANDLERS = {
    Problem: answer_problem,
    RecordingError: answer_recording_error,
    HTTPException: answer_http_error,
    RequestValidationError: answer_bad_parameters,
    ClientDisconnect: answer_disconnect,
}
