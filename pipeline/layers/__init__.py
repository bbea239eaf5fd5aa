"""The Keras layers of our own."""
