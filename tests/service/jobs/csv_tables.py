"""Small long tables such as a client posts."""

import numpy as np

VARIABLES = {"HR": ("/min", 60, 110), "MAP": ("mm[Hg]", 55, 95), "Temp": ("Cel", 36, 39)}


def csv_table(num_subjects: int, *, seed: int = 0, num_rows: int = 12) -> bytes:
    """Return observations of some subjects, a table of theirs after the other."""
    generator = np.random.default_rng(seed)
    lines = ["subject_id,time,variable,value,unit"]
    for subject in range(num_subjects):
        for time in np.sort(generator.uniform(0, 24, num_rows)):
            name = str(generator.choice(list(VARIABLES)))
            unit, low, high = VARIABLES[name]
            value = generator.uniform(low, high)
            lines.append(f"p{subject:04d},{time:.3f},{name},{value:.2f},{unit}")
    return "\n".join([*lines, ""]).encode()
