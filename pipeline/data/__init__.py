"""Radiographs with labels: the layouts they lie in, and the one split."""
