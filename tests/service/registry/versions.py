"""What tests do to the versions of a registry."""

from pathlib import Path

from service.registry.registry import Registry


def add(registry: Registry, artifact: Path, version: str) -> None:
    """Add without a check, as somebody who copies files would."""
    with registry.adding(artifact, version):
        pass


def activate(registry: Registry, version: str) -> None:
    """Make active without a check."""
    registry.write(registry.read().activate(version))


def roll_back(registry: Registry) -> None:
    """Make the version before active without a check."""
    registry.write(registry.read().roll_back())


def flip_a_bit(directory: Path, name: str = "weights.safetensors") -> None:
    """Alter the last byte of a file."""
    path = directory / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
