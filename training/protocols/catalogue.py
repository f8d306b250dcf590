"""The protocols by name."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from training.protocols import ledger
from training.protocols.protocol import Protocol

_MODULES = {
    "mtan-interpolation": "mtan",
    "tpatchgnn-forecast": "tpatchgnn",
    "grafiti-forecast": "grafiti",
    "csdi-imputation": "csdi",
    "saits-imputation": "saits",
}
NAMES = tuple(_MODULES)


def load(
    name: str, data: Path, *, seed: int | None = None, **options: float | bool | str
) -> Protocol:
    """Load a protocol from the challenge's text files.

    Parameters
    ----------
    name
        One of `NAMES`.
    data
        Folder that holds `set-a` and other sets, or one folder of text files.
    seed
        As the protocol means it; its published one where absent.
    options
        The protocol's own: see `load` of its module.

    Raises
    ------
    ValueError
        If there is no such protocol or option.
    SourceFormatError
        If `data` is not what the protocol needs.
    ProtocolRecordsError
        If the records or masks are not those stored for the same sets, seed and options.
    """
    if name not in _MODULES:
        raise ValueError(f"no protocol {name!r}; expected one of {', '.join(NAMES)}")
    module = importlib.import_module(f"training.protocols.{_MODULES[name]}")
    known = set(inspect.signature(module.load).parameters) - {"data", "seed"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(
            f"{name}: no option {', '.join(unknown)}; expected {', '.join(sorted(known)) or 'none'}"
        )
    given = options if seed is None else {"seed": seed, **options}
    protocol: Protocol = module.load(data, **given)
    ledger.check(protocol)
    return protocol


def parse_options(name: str, texts: Sequence[str]) -> dict[str, float | bool | str]:
    """Read options written as `name=value`, each by the type of its default.

    Raises
    ------
    ValueError
        If a text is not of this form, or its name or value is not one of the protocol's.
    """
    options: dict[str, float | bool | str] = {}
    defaults = _defaults(name)
    for text in texts:
        option, separator, value = text.partition("=")
        if not separator:
            raise ValueError(f"{name}: expected option=value, got {text!r}")
        _check_options(name, {option: value})
        options[option] = _parsed(f"{name}: {option}", value, defaults[option])
    return options


def _parsed(what: str, value: str, default: float | bool | str) -> float | bool | str:
    if isinstance(default, bool):
        if value not in ("true", "false"):
            raise ValueError(f"{what}: expected true or false, got {value!r}")
        return value == "true"
    if isinstance(default, str):
        return value
    try:
        return type(default)(value)
    except ValueError:
        raise ValueError(f"{what}: expected a number as {default}, got {value!r}") from None


def _module(name: str) -> ModuleType:
    if name not in _MODULES:
        raise ValueError(f"no protocol {name!r}; expected one of {', '.join(NAMES)}")
    return importlib.import_module(f"training.protocols.{_MODULES[name]}")


def _defaults(name: str) -> dict[str, float | bool | str]:
    parameters = inspect.signature(_module(name).load).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("data", "seed")}


def _check_options(name: str, options: Mapping[str, object]) -> None:
    known = sorted(_defaults(name))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"{name}: no option {', '.join(unknown)}; expected {', '.join(known) or 'none'}"
        )
