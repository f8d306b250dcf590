"""Who works on chunks, and where: here, in processes, on a Ray cluster."""
