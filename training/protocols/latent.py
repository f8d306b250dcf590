"""Our model as a method of the published protocols: the product's network, trainer and mixtures.

Only what a protocol fixes differs from `fit`: its scaling and records, what is hidden in training,
and whether the mean or the median is scored. Nothing of the test part is looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from model.calibration import Calibration, Surroundings
from model.data.normalization import Normalization
from model.data.query import Query
from model.data.series import Cohort
from model.data.variables import Catalogue, Static, Variable
from model.data.windows import Window
from model.latent_ode import LatentODE
from model.metrics import laplace_mixture_crps, mean_over_variables
from training.calibrate import judge_targets
from training.loader import Loader
from training.loop import Progress, Trainer
from training.protocols.answers import LEVELS, Answers, Method
from training.protocols.metrics import crps_from_levels
from training.protocols.part import Part
from training.protocols.protocol import Protocol
from training.protocols.recipes import Recipe
from training.validation import NetworkAnswers, ask

# Location and scale of a channel come from its values without so large a share at either end.
_TRIMMED = 0.005
_MIN_VALUES = 10
_ANY_VALUE = (-1e12, 1e12)
# Nothing is clipped on the way back: a protocol scores slips of the pen as they are.
_UNBOUNDED = np.inf
_SEEDS_APART = 1000
LATENT = "latent ODE (ours)"


@dataclass(frozen=True)
class LatentMethod:
    """One or more trained networks; their answers are one mixture with equal shares.

    With a `calibration` the quantiles are read at its levels; means and medians stay as they are.
    """

    protocol: Protocol
    networks: Sequence[LatentODE]
    normalization: Normalization
    device: torch.device
    calibration: Calibration | None = None

    def answer(self, part: Part) -> Answers:
        """Answer every target of `part`; what is given there is answered with itself.

        A record without anything given is answered with the distribution of the training values.
        """
        window, has_context = _window(part)
        targets, given = part.targets, part.context_mask[part.target_mask]
        result = self._without_context(targets)
        place = np.flatnonzero(~given & has_context[targets.series_indices])
        if len(place) > 0:
            self._fill(result, place, window)
        for array in (result.mean, result.median):
            array[given] = targets.values[given]
        if result.crps is not None:
            result.crps[given] = 0.0
        if result.quantiles is not None:
            result.quantiles[:, given] = targets.values[given]
        return result

    def calibrated(self, part: Part) -> "LatentMethod":
        """Return the method with a calibration that is fitted on `part`."""
        window, _ = _window(part)
        numbers = {name: number for number, name in enumerate(window.target.subject_ids)}
        answers = self._ask(window)
        held_out = judge_targets(
            answers, window, self.normalization, numbers, np.random.default_rng(0)
        )
        hours = np.ones(self.protocol.num_channels)
        calibration = Calibration.fit(
            held_out, encoder_divergences=np.sort(answers.divergences), error_hours=hours
        )
        return replace(self, calibration=calibration)

    def _ask(self, window: Window) -> NetworkAnswers:
        answers = [ask(net, window, self.normalization, self.device) for net in self.networks]
        loc, scale, weight = (
            np.concatenate([getattr(one, name) for one in answers])
            for name in ("loc", "scale", "weight")
        )
        return NetworkAnswers(loc, scale, weight / len(answers), answers[0].divergences)

    def _fill(self, result: Answers, place: Int[np.ndarray, " asked"], window: Window) -> None:
        mixture, normalization = (
            self._ask(window).mixture(window.target.channels),
            self.normalization,
        )
        channels = window.target.channels
        mean = (mixture.weight * mixture.loc).sum(axis=0)
        result.mean[place] = normalization.invert(mean, channels)
        median = mixture.standardized_quantiles(np.array([0.5]))[0]
        result.median[place] = normalization.invert(median, channels)
        if result.quantiles is not None and result.log_density is not None:
            found = mixture.standardized_quantiles(self._levels(window))
            result.quantiles[:, place] = normalization.invert(found, channels[None])
            standardized = normalization.apply(window.target.values, channels)
            density = mixture.log_density(standardized)
            result.log_density[place] = density - np.log(normalization.scale[channels])
            if result.crps is not None:
                exact = laplace_mixture_crps(
                    mixture.loc, mixture.scale, mixture.weight, standardized
                )
                result.crps[place] = exact * normalization.scale[channels]

    def _levels(self, window: Window) -> Float[np.ndarray, "level target"]:
        levels = np.array(LEVELS)
        if self.calibration is None:
            return np.repeat(levels[:, None], len(window.target.values), axis=1)
        query = Query.at(window.target)
        places = Surroundings.of(window.context, query, self.protocol.num_channels)
        return self.calibration.levels(levels, places)

    def _without_context(self, targets: Cohort) -> Answers:
        """Answer with the quantiles of the training values, and their normal density."""
        train = self.protocol.train.cohort
        levels = np.array([0.5, *LEVELS])
        table = np.zeros((len(levels), self.protocol.num_channels))
        loc, scale = self.normalization.loc, self.normalization.scale
        for channel in np.unique(train.channels):
            table[:, channel] = np.quantile(train.values[train.channels == channel], levels)
        at = targets.channels
        distance = (targets.values - loc[at]) / scale[at]
        log_density = -0.5 * distance**2 - np.log(scale[at]) - 0.5 * np.log(2 * np.pi)
        quantiles = table[1:, at]
        # Calibrated answers are known at the levels only.
        is_whole = self.calibration is None
        crps = crps_from_levels(quantiles, targets.values) if is_whole else None
        return Answers(loc[at].copy(), table[0, at], quantiles, log_density, crps)


@dataclass(frozen=True)
class PartJudge:
    """Scores a network on a part while it is trained: root mean square and mean absolute error.

    With `is_balanced` both are means over variables of the variable's mean.
    """

    window: Window
    normalization: Normalization
    is_balanced: bool

    def errors(self, network: LatentODE, device: torch.device) -> Mapping[str, float]:
        """Return the error of the mean and of the median, in scored units."""
        answers = ask(network, self.window, self.normalization, device)
        mixture = answers.mixture(self.window.target.channels)
        target = self.window.target
        mean, median = (
            self.normalization.invert(found, target.channels)
            for found in (
                (mixture.weight * mixture.loc).sum(0),
                mixture.standardized_quantiles(np.array([0.5]))[0],
            )
        )
        squared = self._average((mean - target.values) ** 2, target)
        return {"rmse": squared**0.5, "mae": self._average(np.abs(median - target.values), target)}

    def _average(self, errors: Float[np.ndarray, " target"], target: Cohort) -> float:
        if self.is_balanced:
            return mean_over_variables(errors, target.channels)
        return float(errors.mean())


def fit_latent(
    protocol: Protocol,
    recipe: Recipe,
    *,
    out: Path,
    device: torch.device,
    progress: Progress,
    resume: bool = False,
) -> LatentMethod:
    """Train the members of a recipe, which differ in their seed, on the protocol's train part."""
    normalization = protocol_normalization(protocol)
    judge = PartJudge(_window(protocol.validation)[0], normalization, recipe.is_balanced)
    networks = []
    for member in range(recipe.num_members):
        config = replace(recipe.config, seed=recipe.config.seed + _SEEDS_APART * member)
        cohort = protocol.train.cohort
        usable = cohort.select(np.flatnonzero(cohort.counts > 1))
        trainer = Trainer(
            Loader(usable, protocol_catalogue(protocol), normalization, config),
            judge,
            data_sha256=protocol.train.sha256(),
            device=device,
            scored_scale=normalization.scale,
        )
        best = trainer.run(out / f"member-{member}", resume=resume, progress=progress)
        trainer.average.load_state_dict(best)
        networks.append(trainer.average.eval())
    return LatentMethod(protocol, networks, normalization, device)


def rows(method: LatentMethod) -> Mapping[str, Method]:
    """Return the method, calibrated on the validation part, and its first network alone, by name."""
    found = {LATENT: method, f"{LATENT}, calibrated": method.calibrated(method.protocol.validation)}
    if len(method.networks) > 1:
        found[f"{LATENT}, one network"] = replace(method, networks=method.networks[:1])
    return found


def protocol_normalization(protocol: Protocol) -> Normalization:
    """Return location and scale of every channel in scored units, robust to slips of the pen."""
    train = protocol.train.cohort
    size = protocol.num_channels
    loc, scale = np.zeros(size), np.ones(size)
    for channel in range(size):
        values = train.values[train.channels == channel]
        if len(values) < _MIN_VALUES:
            continue
        low, high = np.quantile(values, [_TRIMMED, 1 - _TRIMMED])
        usual = values[(low <= values) & (values <= high)]
        loc[channel] = usual.mean()
        scale[channel] = usual.std() if usual.std() > 1e-9 else max(values.std(), 1e-3)
    static_loc, static_scale = _static_moments(train)
    nothing = np.full(size, np.nan)
    return Normalization(
        loc=loc,
        scale=scale,
        log_offset=nothing,
        low=np.full(size, -_UNBOUNDED),
        high=np.full(size, _UNBOUNDED),
        static_loc=static_loc,
        static_scale=static_scale,
        resolution=nothing,
        grid=nothing,
    )


def _static_moments(
    cohort: Cohort,
) -> tuple[Float[np.ndarray, " static"], Float[np.ndarray, " static"]]:
    loc, scale = np.zeros(cohort.statics.shape[1]), np.ones(cohort.statics.shape[1])
    for position, column in enumerate(cohort.statics.T):
        known = column[~np.isnan(column)]
        if len(known) >= _MIN_VALUES:
            loc[position], scale[position] = known.mean(), max(known.std(), 1e-6)
    return loc, scale


def protocol_catalogue(protocol: Protocol) -> Catalogue:
    """Return the protocol's channels as variables without unit, code or range."""
    variables = tuple(
        Variable(
            name=name,
            description=name,
            unit="scored unit",
            plausible_range=_ANY_VALUE,
            range_source="none: a protocol scores every value",
        )
        for name in protocol.variables
    )
    statics = tuple(
        Static(name=name, description=name, unit="", plausible_range=_ANY_VALUE)
        for name in ("Age", "Gender", "Height", "ICUType", "Weight")
    )
    return Catalogue(variables, statics)


def _window(part: Part) -> tuple[Window, Bool[np.ndarray, " series"]]:
    """Return what is asked of the records that have a context, and which those are."""
    asked = part.cohort.keep(part.target_mask & ~part.context_mask)
    context = part.context
    has_context = context.counts > 0
    usable = np.flatnonzero(has_context & (asked.counts > 0))
    return Window(context.select(usable), asked.select(usable)), has_context
