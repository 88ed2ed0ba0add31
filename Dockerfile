# The server: docker build -t hmt-ecgnet . && docker run -p 127.0.0.1:8000:8000 --read-only --tmpfs /tmp hmt-ecgnet
# See docs/deploy.md. Research and demonstration only, not for clinical use.

FROM python:3.11-slim-bookworm AS built
COPY requirements-inference.txt /
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /requirements-inference.txt
WORKDIR /app
COPY api.py config.py files.py ./
COPY ecg ecg
COPY evaluation evaluation
COPY inference inference
COPY serving serving
RUN /venv/bin/python -m compileall -q .
COPY artifacts/*.onnx artifacts/*.json artifacts/
COPY artifacts/examples artifacts/examples
COPY artifacts/test_results artifacts/test_results

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home ecg
COPY --from=built /venv /venv
COPY --from=built /app /app
WORKDIR /app
USER 10001:10001
# nothing is written but to /tmp; glibc keeps freed memory for the next request
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    MALLOC_TRIM_THRESHOLD_=134217728 \
    MALLOC_TOP_PAD_=33554432 \
    MALLOC_MMAP_THRESHOLD_=33554432 \
    HMT_HOST=0.0.0.0 \
    HMT_PORT=8000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['HMT_PORT'] + '/ready', timeout=8)"]
CMD ["python", "api.py"]
