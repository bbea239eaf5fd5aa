"""Bytes to a `Radiograph`: every format, the limits of decoding, archives."""
