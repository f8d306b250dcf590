"""What was seen of a sample, in figures that are no patient's."""

import numpy as np
from jaxtyping import Float

from model.data.units import Conversion, accepted_units, conversion
from model.data.variables import Kind, Variable
from training.catalogue.proposal import Seen
from training.catalogue.sample import LEAST_SUBJECTS, Sample
from training.catalogue.shapes import Mixture, mixture_of, quartiles

# Of a variable that nobody knows: pairs of units that are often mixed.
_USUAL_PAIRS = (
    ("a hundred times this unit, such as % beside a fraction", Conversion(0.01)),
    ("a thousandth or thousand times this unit", Conversion(0.001)),
    ("a tenth of this unit, such as g/L beside g/dL", Conversion(0.1)),
)
_FAHRENHEIT = ("[degF]", Conversion(5 / 9, -160 / 9))


def seen_of(
    sample: Sample, *, bounds: tuple[float, float] | None = None, mixture: Mixture | None = None
) -> Seen:
    """Count and measure; `bounds` is the range that is proposed."""
    values = sample.measured
    has_quartiles = sample.num_measured_subjects >= LEAST_SUBJECTS
    outside = 0
    if bounds is not None:
        outside = int(np.sum((values < bounds[0]) | (values > bounds[1])))
    return Seen(
        rows=len(sample),
        subjects=sample.num_subjects,
        names=sample.names,
        units=sample.units,
        quartiles=quartiles(values) if has_quartiles else None,
        interval_hours=sample.interval_hours,
        text_share=sample.text_share,
        limit_share=float(np.mean(sample.comparators[sample.is_number] != 0))
        if sample.is_number.any()
        else 0.0,
        outside=outside,
        mixture=""
        if mixture is None
        else f"about {mixture.low:g} and about {mixture.high:g}, as with {mixture.unit}",
    )


def known_mixture(sample: Sample, variable: Variable) -> Mixture | None:
    """Return the two modes of a known variable that differ as two of its units do."""
    if variable.kind is not Kind.LEVEL:
        return None
    changes = [(unit, conversion(variable, unit)) for unit in accepted_units(variable)[1:]]
    return _mixture(sample, [one for one in changes if not one[1].is_identity])


def new_mixture(sample: Sample) -> Mixture | None:
    """Return the two modes of an unknown variable that differ by a usual factor."""
    named = " ".join(sample.names).casefold()
    pairs = [_FAHRENHEIT] if "temp" in named else []
    return _mixture(sample, [*pairs, *_USUAL_PAIRS])


def _mixture(sample: Sample, units: list[tuple[str, Conversion]]) -> Mixture | None:
    is_measured = sample.is_number & (sample.comparators == 0)
    values: Float[np.ndarray, " value"] = sample.values[is_measured]
    return mixture_of(values, sample.subjects[is_measured], units, LEAST_SUBJECTS)
