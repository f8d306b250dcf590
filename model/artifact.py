"""The artifact: a directory that training writes and the service reads, and all that they share.

    manifest.json         schema version, identity, provenance, sha256 of every other file and its own
    config.json           architecture
    weights.safetensors   parameters
    variables.json        catalogue: channel order, units, codes, plausible ranges; apart, what the
                          data name and the model was not trained on
    subjects.json         salted hashes of the subjects that were trained, tuned and judged on
    normalization.json    standardized units
    calibration.json      what held-out subjects say about the answers
    metrics.json          held-out errors
    card.md               for people
    model.onnx            the network as a graph, for a process without torch; may be missing
    golden.json           simulated series and their answers, for a self-test; may be missing

Nothing is pickled and no file holds an import path. Loading checks every hash and refuses a file
that the manifest does not list.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from model.calibration import Calibration
from model.config import LatentODEConfig
from model.data.normalization import Normalization
from model.data.variables import Catalogue
from model.errors import ArtifactError
from model.files import standing, written_directory
from model.golden import Golden
from model.subjects import FittedSubjects

SCHEMA_VERSION = 5

_REQUIRED = (
    "config.json",
    "weights.safetensors",
    "variables.json",
    "subjects.json",
    "normalization.json",
    "calibration.json",
    "metrics.json",
    "card.md",
)
_OPTIONAL = ("model.onnx", "golden.json")
_MAX_BYTES = 2**31
# Stands where the seal will: no hash of a file can be mistaken for it.
_NO_SEAL = b"-" * 64


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Identity and provenance of an artifact. `files` maps each file name to its sha256."""

    name: str
    version: str
    created: str
    seed: int
    preset: str
    data_sha256: str
    split_sha256: str
    versions: Mapping[str, str]
    files: Mapping[str, str]
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A trained model as plain data. `sha256` is that of the manifest, and so of everything."""

    manifest: Manifest
    sha256: str
    config: LatentODEConfig
    weights: Mapping[str, np.ndarray]
    catalogue: Catalogue
    subjects: FittedSubjects
    normalization: Normalization
    calibration: Calibration
    metrics: Mapping[str, Any]
    card: str
    onnx: bytes | None = None
    golden: Golden | None = None


def write_artifact(
    directory: Path,
    *,
    config: LatentODEConfig,
    weights: Mapping[str, np.ndarray],
    catalogue: Catalogue,
    subjects: FittedSubjects,
    normalization: Normalization,
    calibration: Calibration,
    metrics: Mapping[str, Any],
    card: str,
    provenance: Mapping[str, Any],
    onnx: bytes | None = None,
    golden: Golden | None = None,
) -> None:
    """Write a complete artifact and put it in place at once, replacing what stood there.

    After a crash at any point the new artifact is read, or else the old one.
    `provenance` holds the fields of `Manifest` other than `files` and `schema_version`.

    Raises
    ------
    ArtifactError
        If something else stands there; see `check_replaceable`.
    """
    check_replaceable(directory)
    contents = {
        "config.json": _json_bytes(config.to_json()),
        "weights.safetensors": save_safetensors(dict(weights)),
        "variables.json": _json_bytes(catalogue.to_json()),
        "subjects.json": _json_bytes(subjects.to_json(), is_compact=True),
        "normalization.json": _json_bytes(normalization.to_json()),
        "calibration.json": _json_bytes(calibration.to_json(), is_compact=True),
        "metrics.json": _json_bytes(metrics),
        "card.md": card.encode(),
    }
    if onnx is not None:
        contents["model.onnx"] = onnx
    if golden is not None:
        contents["golden.json"] = _json_bytes(golden.to_json(), is_compact=True)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = Manifest(files=files, **provenance)
    contents["manifest.json"] = _sealed(asdict(manifest))
    with written_directory(directory) as partial:
        for name, content in contents.items():
            (partial / name).write_bytes(content)


def check_replaceable(directory: Path) -> None:
    """Refuse a place that an artifact must not be written to.

    Raises
    ------
    ArtifactError
        If it is a file, or a directory that holds anything but an artifact, of whatever schema.
    """
    if not directory.exists() and not directory.is_symlink():
        return
    if not directory.is_dir():
        raise ArtifactError(f"{directory} is a file; choose another --out")
    entries = {entry.name for entry in directory.iterdir()}
    allowed = {"manifest.json", *_REQUIRED, *_OPTIONAL}
    if entries and not (entries <= allowed and _names_files(directory / "manifest.json")):
        raise ArtifactError(
            f"{directory} exists and is not an artifact; choose another --out or empty it"
        )


def _names_files(manifest: Path) -> bool:
    """Whether it is the manifest of an artifact, perhaps of another schema."""
    try:
        return {"schema_version", "files"} <= set(json.loads(manifest.read_bytes()))
    except (OSError, ValueError, TypeError):
        return False


def read_manifest(directory: Path) -> Manifest:
    """Read what an artifact says that it is, without reading the rest.

    Raises
    ------
    ArtifactError
        If there is no manifest, or none of this program's schema.
    """
    return _parse_manifest(_read(standing(directory), "manifest.json"))


def load_artifact(directory: Path) -> Artifact:
    """Read and verify an artifact.

    Raises
    ------
    ArtifactError
        If a file is missing, altered, unknown or too large, or the schema is not this program's.
        The message says which.

    Examples
    --------
    `artifact` is the directory of one:

    >>> load_artifact(artifact).manifest.name
    'tiny'
    """
    directory = standing(directory)
    raw_manifest = _read(directory, "manifest.json")
    manifest = _parse_manifest(raw_manifest)
    _check_names(directory, manifest)
    contents = {name: _read(directory, name) for name in manifest.files}
    for name, content in contents.items():
        found = hashlib.sha256(content).hexdigest()
        if found != manifest.files[name]:
            raise ArtifactError(
                f"{name} was altered: its sha256 is {found}, the manifest says {manifest.files[name]}"
            )
    try:
        return Artifact(
            manifest=manifest,
            sha256=hashlib.sha256(raw_manifest).hexdigest(),
            config=LatentODEConfig.from_json(json.loads(contents["config.json"])),
            weights=load_safetensors(contents["weights.safetensors"]),
            catalogue=Catalogue.from_json(json.loads(contents["variables.json"])),
            subjects=FittedSubjects.from_json(json.loads(contents["subjects.json"])),
            normalization=Normalization.from_json(json.loads(contents["normalization.json"])),
            calibration=Calibration.from_json(json.loads(contents["calibration.json"])),
            metrics=json.loads(contents["metrics.json"]),
            card=contents["card.md"].decode(),
            onnx=contents.get("model.onnx"),
            golden=_parse_golden(contents.get("golden.json")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{directory} holds files that this program cannot read: {error}"
        ) from error


def _parse_golden(content: bytes | None) -> Golden | None:
    return None if content is None else Golden.from_json(json.loads(content))


def _parse_manifest(content: bytes) -> Manifest:
    try:
        fields = json.loads(content)
        version = fields["schema_version"]
        seal = fields.pop("seal", None)
        if version > SCHEMA_VERSION:
            raise ArtifactError(
                f"manifest.json has schema version {version}, this program reads "
                f"{SCHEMA_VERSION}; update the program"
            )
        if version < SCHEMA_VERSION:
            raise ArtifactError(
                f"manifest.json has schema version {version}, this program reads "
                f"{SCHEMA_VERSION}, with another network and calibration; fit the model again"
            )
        # One written before there were seals has none.
        if seal is not None and _seal(content.replace(str(seal).encode(), _NO_SEAL)) != seal:
            raise ArtifactError("manifest.json was altered: its seal does not fit its content")
        return Manifest(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"manifest.json is not a manifest: {error}") from error


def _sealed(fields: Mapping[str, Any]) -> bytes:
    """Return the manifest with a hash of itself, so that no byte of it can change unseen."""
    unsealed = _json_bytes({**fields, "seal": _NO_SEAL.decode()})
    return unsealed.replace(_NO_SEAL, _seal(unsealed).encode())


def _seal(unsealed: bytes) -> str:
    return hashlib.sha256(unsealed).hexdigest()


def _check_names(directory: Path, manifest: Manifest) -> None:
    allowed = {*_REQUIRED, *_OPTIONAL}
    for name in sorted({entry.name for entry in directory.iterdir()} | set(manifest.files)):
        if name != "manifest.json" and (name not in manifest.files or name not in allowed):
            raise ArtifactError(
                f"unknown file {name} in {directory}; an artifact holds only its own"
            )
    for name in _REQUIRED:
        if name not in manifest.files:
            raise ArtifactError(f"manifest.json does not list {name}")


def _read(directory: Path, name: str) -> bytes:
    path = directory / name
    if not path.is_file():
        raise ArtifactError(f"{directory} is not an artifact: {name} is missing")
    if path.stat().st_size > _MAX_BYTES:
        raise ArtifactError(f"{name} is larger than {_MAX_BYTES} bytes")
    return path.read_bytes()


def _json_bytes(content: Any, *, is_compact: bool = False) -> bytes:
    indent = None if is_compact else 1
    return (json.dumps(content, indent=indent, sort_keys=True, allow_nan=False) + "\n").encode()
