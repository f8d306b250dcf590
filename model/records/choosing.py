"""Which of several names of a value is meant, where a source gives it more than one."""

from dataclasses import dataclass, field

from model.data.variables import Catalogue
from model.records.codes import CodeMap


@dataclass(frozen=True)
class Chooser:
    """Chooses the first name that the code map has, else that the catalogue has, else the first.

    Examples
    --------
    >>> from model.records.codes import NO_MAP
    >>> Chooser(Catalogue((), ()), NO_MAP).choose(("1-8", "2-6"))
    ('1-8', None)
    """

    catalogue: Catalogue
    codes: CodeMap
    _chosen: dict[tuple[str, ...], tuple[str, str | None]] = field(default_factory=dict)

    def choose(self, names: tuple[str, ...]) -> tuple[str, str | None]:
        """Return the name, and the unit that the code map says for it."""
        if names not in self._chosen:
            self._chosen[names] = self._choose(names)
        return self._chosen[names]

    def knows(self, name: str) -> bool:
        """Return whether the catalogue has a variable or a static of that name, code or alias."""
        return self.catalogue.find(name) is not None or self.catalogue.find_static(name) is not None

    def _choose(self, names: tuple[str, ...]) -> tuple[str, str | None]:
        for name in names:
            target = self.codes.find(name)
            if target is not None:
                return target.variable, target.unit
        for name in names:
            if self.knows(name):
                return name, None
        return names[0], None
