"""The predictor alone, beside the least that its network's arithmetic can cost on this machine."""
