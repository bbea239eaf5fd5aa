"""What a reader is told, and how numbers are written."""
