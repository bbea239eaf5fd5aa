"""From a run to shipped weights: publish, measure, describe, export."""
