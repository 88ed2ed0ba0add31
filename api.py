"""The HTTP server: ECGs in, diagnoses out.

    python api.py                              # http://127.0.0.1:8000, try it at /docs
    uvicorn api:app --workers 4
    curl -F files=@ecg.hea -F files=@ecg.dat http://127.0.0.1:8000/predict/file
    curl -H 'Content-Type: application/json' --data @artifacts/examples/anterior_infarction.json \
        http://127.0.0.1:8000/predict          # several at a time: /predict/batch, /predict/files

Settings come from environment variables, HMT_ARTIFACTS, HMT_API_KEY and so on: see `Settings` and docs/api.md.
Every error is an RFC 9457 problem that says what to do. Reading, networks and quality run in a few threads; requests
beyond those and their queue are rejected with 429. Logs are one JSON line a request and hold nothing of the ECG.
"""

import argparse
import asyncio
import logging.config
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext

import uvicorn
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator

from config import RESEARCH_ONLY
from serving.admission import allow_open_files
from serving.logs import LOGGING
from serving.middleware import RequestMiddleware, is_request_id
from serving.openapi import add_docs_page, document_requests
from serving.problems import HANDLED, on_error
from serving.routes import authorised, guarded, router
from serving.settings import Settings, read_settings
from serving.shutdown import noticing_signals
from serving.state import Metrics, Server, load

LOADING_ENDS_S = 10  # at most, when the process is told to end meanwhile
log = logging.getLogger("ecg_api")


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Load the networks in the background, so that /health and /ready are there at once."""
    logging.config.dictConfig(LOGGING)
    server = app.state.server
    if warning := allow_open_files(server.settings.receiving):
        log.warning(warning)
    server.threads = ThreadPoolExecutor(server.settings.concurrency, thread_name_prefix="diagnose")
    loading = threading.Thread(target=load, args=(server,), name="load", daemon=True)
    loading.start()
    while loading.is_alive() and not is_first_process():
        await asyncio.sleep(0.05)
    with noticing_signals(server):
        yield
    server.threads.shutdown(cancel_futures=True)  # a recording being read may have a temporary folder
    loading.join(LOADING_ENDS_S)


def is_first_process() -> bool:
    """Whether no sibling may be ready yet: a later worker that opened unloaded would reply 503 in a ready one's place.

    multiprocessing numbers a parent's children from 1, and a worker that replaces another gets a new number.
    """
    return multiprocessing.current_process().name in ("MainProcess", "SpawnProcess-1")


def create_app(settings: Settings) -> FastAPI:
    """The application; the networks are loaded when it starts up."""
    app = FastAPI(
        title="HMT-ECGNet",
        version="1",
        description=f"Diagnoses ECGs of one to twelve leads. {RESEARCH_ONLY}",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    registry = CollectorRegistry()
    app.state.server = Server(settings=settings, metrics=Metrics(registry))
    app.include_router(router)
    app.include_router(guarded, dependencies=[Depends(authorised)] if settings.api_key.get_secret_value() else [])
    for error in HANDLED:
        app.add_exception_handler(error, on_error)
    Instrumentator(registry=registry).instrument(app).expose(app, include_in_schema=False)
    add_middleware(app, settings)
    add_docs_page(app)
    document_requests(app, settings.max_batch)
    return app


def add_middleware(app: FastAPI, settings: Settings) -> None:
    """The last added is the outermost."""
    app.add_middleware(RequestMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "Content-Encoding", "X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Server-Timing"],
        )
    app.add_middleware(CorrelationIdMiddleware, validator=is_request_id)


app = create_app(read_settings())


def main(argv: list[str] | None = None) -> int:
    settings = app.state.server.settings
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default=settings.host, help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=settings.port, help="port to listen on (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=settings.workers, help="processes (default: %(default)s)")
    arguments = parser.parse_args(argv)
    several = arguments.workers > 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again once it has shut down
    with tempfile.TemporaryDirectory(prefix="ecg-metrics-") if several else nullcontext() as metrics:
        if several:  # the workers add up what /metrics shows
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", metrics)
        uvicorn.run(
            "api:app" if several else app,
            host=arguments.host,
            port=arguments.port,
            workers=arguments.workers,
            timeout_worker_healthcheck=settings.hanging_s,
            timeout_graceful_shutdown=math.ceil(settings.time_limit_s),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
