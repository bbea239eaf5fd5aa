"""From a radiograph to a `Diagnosis`; read `diagnose` first."""
