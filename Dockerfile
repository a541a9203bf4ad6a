# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN pip install --no-compile "uv>=0.9,<1" && python -m venv --without-pip /opt/venv
COPY requirements.lock requirements-dev.lock ./
# Bytecode is compiled here: a container without it pays for it at every start.
RUN uv pip install --no-cache --python /opt/venv/bin/python --compile-bytecode -r requirements.lock \
    # REDIS_URL needs it; the version is the one that the tests ran on.
    && uv pip install --no-cache --python /opt/venv/bin/python --compile-bytecode -c requirements-dev.lock redis

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin fairlens
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY . .
# Evidence, database and artefacts live in volumes; the code itself stays out of the server's reach.
RUN mkdir -p /data/instance /data/models && chown -R fairlens /data && python -m compileall -q fairlens_backend
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 \
    ENVIRONMENT=production HOST=0.0.0.0 PORT=5050 DATA_DIR=/data/instance MODELS_DIR=/data/models
USER fairlens
VOLUME /data
EXPOSE 5050
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, sys, urllib.request as u; sys.exit(u.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/api/health\", timeout=4).status != 200)"]
# The schema is brought up before the workers start; a second container waits on the database's own lock.
CMD ["sh", "-c", "python -m alembic upgrade head && exec gunicorn 'fairlens_backend.app:create_app()'"]
