"""Batch jobs: tables of many subjects, filled columnar from end to end."""
