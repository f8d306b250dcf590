"""Predictors behind one protocol: arrays in, distributions in canonical units out."""
