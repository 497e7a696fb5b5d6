# Nothing of the build is in the image but its result: /opt/waypost, with its bytecode.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/waypost
COPY requirements/run.txt requirements/run.txt
RUN pip --python /opt/waypost/bin/python install --no-compile --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
# the bytecode holds whatever becomes of the files' times: the running image can't write any
RUN pip --python /opt/waypost/bin/python install --no-compile --no-deps --no-build-isolation . \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/waypost/lib

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Waypost" \
      org.opencontainers.image.description="A self-hosted WhatsApp message gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/waypost /opt/waypost
RUN install -d -o 10001 -g 10001 -m 0700 /data
ENV PATH=/opt/waypost/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WAYPOST_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
# all that is ever written: the root file system may be read-only
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8080, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["waypost"]
CMD ["serve", "--host", "0.0.0.0"]
