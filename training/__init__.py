"""Offline training: records in, a checked artifact out."""
