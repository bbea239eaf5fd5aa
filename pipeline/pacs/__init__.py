"""Radiographs from the hospital's archive, and results back to it."""
