"""Impute, forecast, uncertainty and validate: from a posted body to the answer."""
