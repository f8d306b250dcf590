"""How a model is trained: one frozen dataclass, three presets, overrides by name."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from model.config import LatentODEConfig
from training.task_mix import TaskMix


class ConfigError(ValueError):
    """Raised for a preset or setting that does not exist or cannot be read."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that decides the result of `fit`, apart from the data."""

    preset: str = "default"
    seed: int = 0
    epochs: int = 60
    patience_epochs: int = 60
    """Stop after this many epochs without a better validation error. Shorter than `epochs`, it may
    end a run while the learning rate is still high and the best epochs are to come."""

    batch_size: int = 32
    learning_rate: float = 6e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-2
    gradient_clip: float = 1.0
    averaging_decay: float = 0.998
    """Of the exponential moving average of the weights, which is what the artifact holds."""

    precision: str = "float32"
    """`bfloat16`: encoder and decoder compute in it (a GPU's fast path), the solver never does."""

    num_samples: int = 1
    """Posterior samples for each series in the evidence lower bound."""
    kl_warmup_steps: int = 300
    free_bits: float = 0.05
    """Nats for each latent dimension that the bound does not charge."""
    likelihood_exponent: float = 0.5
    """A variable's likelihood weighs (its count) ** -exponent: at 1 all variables weigh alike."""
    mean_weight: float = 0.1
    """Weight of the squared error of the mean beside the likelihood."""
    mean_exponent: float = 0.5
    """The same exponent for the squared error."""
    largest_weight: float = 20.0
    """Of a rare variable, relative to the mean over all observations."""
    largest_target: float = 8.0
    """Targets are clipped to this many standard deviations, so that a mistyped one teaches little."""

    cells_share: float = 0.5
    """Of the series in a batch: single observations are hidden."""
    rows_share: float = 0.1
    """Whole rows are hidden; the other series have their future hidden."""
    hidden_fraction: tuple[float, float] = (0.05, 0.7)
    context_share: tuple[float, float] = (1 / 12, 11 / 12)
    """Where a forecast cuts a series, as a share of its span."""
    horizon_hours: float = 24.0
    horizon_rows: int = 0
    """If not 0, a forecast asks for no more than so many rows."""

    encoder: str = "attention"
    direction: str = "smooth"
    latent_dim: int = 64
    encoder_dim: int = 96
    encoder_layers: int = 2
    dynamics_dim: int = 64
    decoder_dim: int = 96
    num_components: int = 3
    knot_hours: float = 1.0
    age_scales_hours: tuple[float, ...] = (0.1, 1.0, 8.0)
    dropout: float = 0.1
    use_control: bool = True
    use_residual: bool = True

    @property
    def tasks(self) -> TaskMix:
        """What is hidden from the model while it learns."""
        return TaskMix(
            cells_share=self.cells_share,
            rows_share=self.rows_share,
            hidden_fraction=self.hidden_fraction,
            context_share=self.context_share,
            horizon_hours=self.horizon_hours,
            horizon_rows=self.horizon_rows,
        )

    def architecture(
        self, *, num_channels: int, num_statics: int, reads_limits: bool = False
    ) -> LatentODEConfig:
        """Return the sizes of the network; `reads_limits` where the records hold limits."""
        shared = {field.name for field in fields(LatentODEConfig)} & {
            field.name for field in fields(self)
        }
        return LatentODEConfig(
            num_channels=num_channels,
            num_statics=num_statics,
            reads_limits=reads_limits,
            **{name: getattr(self, name) for name in shared},
        )

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return asdict(self)


PRESETS: Mapping[str, TrainingConfig] = MappingProxyType(
    {
        "quick": TrainingConfig(
            preset="quick",
            epochs=8,
            encoder_dim=48,
            encoder_layers=1,
            latent_dim=32,
            dynamics_dim=32,
            decoder_dim=48,
            averaging_decay=0.98,
        ),
        "default": TrainingConfig(),
        "best": TrainingConfig(
            preset="best",
            epochs=80,
            patience_epochs=80,
            encoder_dim=128,
            encoder_layers=3,
            decoder_dim=128,
        ),
    }
)


def configure(preset: str, overrides: Sequence[str], *, seed: int) -> TrainingConfig:
    """Return a preset with `key=value` overrides.

    Raises
    ------
    ConfigError
        For an unknown preset or key, or a value of the wrong type; the message names the choices.

    Examples
    --------
    >>> configure("quick", ["epochs=1"], seed=0).epochs
    1
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}; expected one of: {', '.join(PRESETS)}")
    return replace(change(PRESETS[preset], overrides), seed=seed)


def change(config: TrainingConfig, overrides: Sequence[str]) -> TrainingConfig:
    """Return a configuration with `key=value` overrides; raises `ConfigError` as `configure` does."""
    return replace(config, **dict(_parse(config, override) for override in overrides))


def _parse(config: TrainingConfig, override: str) -> tuple[str, Any]:
    key, separator, text = override.partition("=")
    names = [field.name for field in fields(config) if field.name not in ("preset", "seed")]
    if not separator or key not in names:
        raise ConfigError(
            f"cannot set {override!r}; expected key=value with a key of: {', '.join(names)}"
        )
    current = getattr(config, key)
    if isinstance(current, bool):
        if text not in ("True", "False"):
            raise ConfigError(f"cannot set {key} to {text!r}; expected True or False")
        return key, text == "True"
    try:
        if isinstance(current, tuple):
            numbers = tuple(float(part) for part in text.split(","))
            if len(numbers) != len(current):
                raise ValueError
            return key, numbers
        return key, type(current)(text)
    except ValueError:
        expected = (
            f"{len(current)} numbers with commas"
            if isinstance(current, tuple)
            else type(current).__name__
        )
        raise ConfigError(f"cannot set {key} to {text!r}; expected {expected}") from None
