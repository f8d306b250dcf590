"""Variables, units, series, cleaning, normalization, batches. Needs numpy and nothing else."""
