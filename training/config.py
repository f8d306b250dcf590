"""How a model is trained: one frozen dataclass, three presets, overrides by name."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from model.config import LatentODEConfig


class ConfigError(ValueError):
    """Raised for a preset or setting that does not exist or cannot be read."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that decides the result of `fit`, apart from the data."""

    preset: str = "default"
    seed: int = 0
    epochs: int = 60
    patience_epochs: int = 15
    """Stop after this many epochs without a better validation error."""

    batch_size: int = 64
    learning_rate: float = 4e-3
    warmup_steps: int = 50
    weight_decay: float = 1e-2
    gradient_clip: float = 1.0
    averaging_decay: float = 0.999
    """Of the exponential moving average of the weights, which is what the artifact holds."""

    num_samples: int = 1
    """Posterior samples for each series in the evidence lower bound."""
    kl_warmup_epochs: float = 8.0
    free_bits: float = 0.05
    """Nats for each latent dimension that the bound does not charge."""
    balance_exponent: float = 0.5
    """A variable weighs (its count) ** -exponent: at 0 all values weigh alike, at 1 all variables."""

    forecast_share: float = 0.5
    """Of the series in a batch; the others have single observations hidden."""
    context_share: tuple[float, float] = (1 / 12, 11 / 12)
    """Where a forecast cuts a series, as a share of its span."""
    hidden_fraction: tuple[float, float] = (0.1, 0.6)
    horizon_hours: float = 24.0

    latent_dim: int = 32
    encoder_dim: int = 96
    dynamics_dim: int = 64
    decoder_dim: int = 96
    step_hours: float = 2.0

    def architecture(self, *, num_channels: int, num_statics: int) -> LatentODEConfig:
        """Return the sizes of the network."""
        return LatentODEConfig(
            num_channels=num_channels,
            num_statics=num_statics,
            latent_dim=self.latent_dim,
            encoder_dim=self.encoder_dim,
            dynamics_dim=self.dynamics_dim,
            decoder_dim=self.decoder_dim,
            step_hours=self.step_hours,
        )

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return asdict(self)


PRESETS: Mapping[str, TrainingConfig] = MappingProxyType(
    {
        "quick": TrainingConfig(
            preset="quick",
            epochs=20,
            kl_warmup_epochs=3.0,
            encoder_dim=48,
            decoder_dim=48,
            dynamics_dim=48,
            averaging_decay=0.98,
        ),
        "default": TrainingConfig(),
        "best": TrainingConfig(
            preset="best", epochs=160, patience_epochs=40, encoder_dim=128, decoder_dim=128
        ),
    }
)


def configure(preset: str, overrides: Sequence[str], *, seed: int) -> TrainingConfig:
    """Return a preset with `key=value` overrides.

    Raises
    ------
    ConfigError
        For an unknown preset or key, or a value of the wrong type; the message names the choices.
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}; expected one of: {', '.join(PRESETS)}")
    config = PRESETS[preset]
    changes = dict(_parse(config, override) for override in overrides)
    return replace(config, seed=seed, **changes)


def _parse(config: TrainingConfig, override: str) -> tuple[str, Any]:
    key, separator, text = override.partition("=")
    names = [field.name for field in fields(config) if field.name not in ("preset", "seed")]
    if not separator or key not in names:
        raise ConfigError(
            f"cannot set {override!r}; expected key=value with a key of: {', '.join(names)}"
        )
    current = getattr(config, key)
    try:
        if isinstance(current, tuple):
            low, high = (float(part) for part in text.split(","))
            return key, (low, high)
        return key, type(current)(text)
    except ValueError:
        expected = "low,high" if isinstance(current, tuple) else type(current).__name__
        raise ConfigError(f"cannot set {key} to {text!r}; expected {expected}") from None
