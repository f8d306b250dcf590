"""Single precision back to the short decimal number that was meant."""

import numpy as np
from jaxtyping import Float, Real

# 10 ** 22 is the last power of ten that a float64 holds exactly.
_LARGEST_EXACT_POWER = 22


def decimal_float64(values: Real[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """Widen float32 to the short decimal number that was meant: 0.21, not 0.2099999934.

    That is the number of at most seven digits that rounds to the same float32, where there is one.
    Without this a troponin of 0.01 lies below a plausible range that begins at 0.01.
    """
    if values.dtype != np.float32:
        return values.astype(np.float64)
    wide = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponent = np.floor(np.log10(np.abs(wide)))
        for digits in (7, 6):
            places = digits - 1 - exponent
            grid = 10.0 ** np.abs(places)
            rounded = np.where(
                places >= 0, np.rint(wide * grid) / grid, np.rint(wide / grid) * grid
            )
            # Larger powers of ten are no float64: a few numbers that no ward charts go by text.
            far = np.isfinite(places) & (np.abs(places) > _LARGEST_EXACT_POWER)
            rounded[far] = [float(f"{number:.{digits - 1}e}") for number in wide[far]]
            wide = np.where(rounded.astype(np.float32) == values, rounded, wide)
    return wide
