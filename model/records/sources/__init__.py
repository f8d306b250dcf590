"""Readers that stream every kind of source as rows. None of them holds a file."""
