"""The server: HTTP in, predictions of a trained artifact out. Training is never imported."""
