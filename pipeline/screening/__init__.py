"""Archives of radiographs: ``python -m pipeline screen``."""
