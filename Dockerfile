# The app alone, without tests, training data or build tools.
#
#   docker build -t pulmoscope . && docker run -p 8501:8501 pulmoscope
#
# For a GPU host, which adds some 3 GB of CUDA libraries:
#
#   docker build --build-arg GPU=1 -t pulmoscope . && docker run --gpus all -p 8501:8501 pulmoscope
#
# Without TensorFlow, for a host without a graphics card: smaller, started in a few seconds, and
# without what needs Keras (the page's diagram of the graph):
#
#   docker build --build-arg ENGINE=onnx -t pulmoscope . && docker run -p 8501:8501 pulmoscope
#
# With as little as it needs (README has a compose file that says the same):
#
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -p 8501:8501 pulmoscope
#
# `make digests` names the base by its present digest.
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS build
RUN python3 -m venv /opt/venv
COPY requirements.txt requirements-onnx.txt ./
ARG ENGINE=auto
RUN if [ "$ENGINE" = onnx ]; then wanted=requirements-onnx.txt; else wanted=requirements.txt; fi; \
    /opt/venv/bin/pip install --no-cache-dir --no-compile --requirement $wanted
ARG GPU=0
RUN if [ "$GPU" = 1 ]; then \
    version=$(/opt/venv/bin/pip show tensorflow | sed -n 's/^Version: //p'); \
    /opt/venv/bin/pip install --no-cache-dir --no-compile "tensorflow[and-cuda]==$version"; fi
# 1: reads from and writes to a PACS (PULMOSCOPE_PACS).
ARG PACS=0
RUN if [ "$PACS" = 1 ]; then \
    /opt/venv/bin/pip install --no-cache-dir --no-compile dicomweb-client pynetdicom; fi
# Nothing is installed later: pip and its kin go, bytecode is made while the disk may be written.
RUN /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib >/dev/null; \
    rm -rf /opt/venv/lib/python3*/site-packages/pip /opt/venv/lib/python3*/site-packages/pip-* \
    /opt/venv/bin/pip* /opt/venv/lib/python3*/site-packages/tensorflow/include

FROM ${BASE}
RUN useradd --system --uid 10001 --no-create-home app
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/pulmoscope
# THIRD_PARTY.md: a decoder among what ships is under the GPL.
COPY pyproject.toml LICENSE THIRD_PARTY.md ./
COPY .streamlit .streamlit
COPY app app
COPY pages pages
COPY pipeline pipeline
COPY weights weights
ARG GPU=0
ARG ENGINE=auto
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    TF_CPP_MIN_LOG_LEVEL=2 \
    PYTHONDONTWRITEBYTECODE=1 \
    PULMOSCOPE_GPU=${GPU} \
    PULMOSCOPE_ENGINE=${ENGINE} \
    PULMOSCOPE_PRELOAD=light,xception
RUN python -m pipeline.models.registry && python -m compileall -q app pages pipeline
USER 10001
EXPOSE 8501
# Green only when every model is loaded and gives a known film its known answer.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/v1/health')"]
STOPSIGNAL SIGTERM
CMD ["streamlit", "run", "app/server.py", "--server.address=0.0.0.0", "--server.headless=true"]
