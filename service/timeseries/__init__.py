"""The second door: forecasts on a regular grid, in the form of KServe's Time Series Forecast API."""
