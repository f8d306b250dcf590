"""`python -m service impute`: a job without a server."""
