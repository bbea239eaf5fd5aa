"""One configuration per model; `python -m pipeline train NAME` runs NAME.py."""
