"""What is loaded: the model and its variables."""
