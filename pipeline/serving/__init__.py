"""What a server needs: queue, work list, self-check, telemetry, settings."""
