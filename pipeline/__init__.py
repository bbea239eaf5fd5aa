"""From a radiograph to lung mask, COVID score and heatmap. Never imports streamlit."""

__version__ = "0.1.0"
