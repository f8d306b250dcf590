"""Batch jobs: years of stays, filled once, exactly, whatever is killed in between."""
