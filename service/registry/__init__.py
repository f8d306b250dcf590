"""Versions of the model: on disk, in memory, and how the one follows the other."""
