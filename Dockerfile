# The app alone. On a GPU host: docker run --gpus all -p 8501:8501 pulmoscope
FROM python:3.11-slim

RUN useradd --create-home app
WORKDIR /srv/pulmoscope
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt
COPY --chown=app . .
RUN python -m pipeline.registry

USER app
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health')"
CMD ["streamlit", "run", "app/main.py", "--server.address=0.0.0.0", "--server.headless=true"]
