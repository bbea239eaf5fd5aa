# The app alone: docker build -t pulmoscope . && docker run -p 8501:8501 pulmoscope
# For a GPU host, which adds some 3 GB of CUDA libraries:
#   docker build --build-arg GPU=1 -t pulmoscope . && docker run --gpus all -p 8501:8501 pulmoscope
FROM python:3.11-slim

RUN useradd --create-home app
WORKDIR /srv/pulmoscope
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt
ARG GPU=0
RUN if [ "$GPU" = 1 ]; then \
    pip install --no-cache-dir "tensorflow[and-cuda]==$(pip show tensorflow | sed -n 's/^Version: //p')"; fi
COPY --chown=app . .
RUN python -m pipeline.registry

USER app
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health')"
CMD ["streamlit", "run", "app/main.py", "--server.address=0.0.0.0", "--server.headless=true"]
