"""How our model is trained for each protocol: what is hidden, what is scored, how long.

Everything here was chosen on validation parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from training.config import TrainingConfig, change


@dataclass(frozen=True)
class Recipe:
    """A training configuration, and how many networks with different seeds are averaged.

    `is_balanced`: the protocol averages errors over variables, not over points.
    """

    config: TrainingConfig
    num_members: int = 1
    is_balanced: bool = False


_POOLED = TrainingConfig(
    preset="protocol",
    likelihood_exponent=0.0,
    mean_exponent=0.0,
    patience_epochs=50,
    age_scales_hours=(1.0, 8.0),
    learning_rate=5e-3,
)
_CELLS = replace(
    _POOLED,
    cells_share=1.0,
    rows_share=0.0,
    hidden_fraction=(0.0, 1.0),
    mean_weight=0.0,
    batch_size=16,
    epochs=50,
)
_ROWS = replace(
    _POOLED,
    cells_share=0.0,
    rows_share=1.0,
    hidden_fraction=(0.05, 0.6),
    mean_weight=1.0,
    epochs=8,
)
_FUTURE = replace(
    _POOLED,
    cells_share=0.15,
    rows_share=0.0,
    mean_weight=3.0,
    mean_exponent=1.0,
    largest_weight=50.0,
    dropout=0.25,
    epochs=18,
)
_NEXT_ROWS = replace(
    _POOLED,
    cells_share=0.1,
    rows_share=0.0,
    horizon_rows=8,
    mean_weight=2.0,
    dropout=0.2,
    epochs=12,
)
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "mtan-interpolation": Recipe(_ROWS),
        "tpatchgnn-forecast": Recipe(_FUTURE, num_members=3, is_balanced=True),
        "grafiti-forecast": Recipe(_NEXT_ROWS, num_members=3),
        "csdi-imputation": Recipe(_CELLS),
        "saits-imputation": Recipe(replace(_CELLS, epochs=15)),
    }
)


def recipe_of(
    name: str,
    changes: Sequence[str],
    *,
    seed: int,
    epochs: int | None = None,
    num_members: int | None = None,
) -> Recipe:
    """Return the recipe of a protocol with `key=value` changes of its training.

    Raises
    ------
    ConfigError
        For an unknown key or a value of the wrong type; the message names the choices.
    """
    recipe = RECIPES[name]
    config = change(recipe.config, changes)
    config = replace(config, seed=seed, epochs=epochs or config.epochs)
    return replace(recipe, config=config, num_members=num_members or recipe.num_members)
