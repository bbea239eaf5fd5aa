"""Where a score comes from: the Grad-CAM family, and how it is drawn."""
