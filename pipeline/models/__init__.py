"""The networks, untrained; their weights lie in `weights/`."""
