"""P(gender | first name) from a table of counts by name."""

from dataclasses import dataclass
from typing import Any, Final

from fairlens_backend.core.enrich.normalise import FEMALE, MALE
from fairlens_backend.core.enrich.proxy_distribution import ProxyDistribution, count, letters, read_lines
from fairlens_backend.errors import InvalidInput

ATTRIBUTE: Final = "gender"
GROUPS: Final = (FEMALE, MALE)
"""What registers of births record. People of other genders are in the table as what was recorded at birth."""


@dataclass(frozen=True)
class FirstNameTable:
    """Counts of girls and boys by first name.

    `counts` are {letters of the name: (female, male)}; names with fewer than `min_count` people in all say nothing.
    """

    counts: dict[str, tuple[float, float]]
    prior: dict[str, float]
    min_count: float
    sha256: str

    @classmethod
    def read(cls, table: bytes, *, min_count: float = 10, field: str = "first_names") -> "FirstNameTable":
        """A table from CSV.

        Parameters
        ----------
        table : CSV in UTF-8 with the header name,female,male; counts of people. Names that differ in accents or case
            only are added up.
        min_count : people a name needs
        field : where the table comes from, for messages

        Raises
        ------
        InvalidInput
            The header, a name or a count is not as described; it names the line.

        Examples
        --------
        >>> names = FirstNameTable.read(b"name,female,male\\nMary,99,1\\nLeslie,60,40\\n")
        >>> names.proxy("MARY ANN").probabilities
        {'Female': 0.99, 'Male': 0.01}
        """
        lines, sha256 = read_lines(table, field)
        if [cell.strip().lower() for cell in lines[0]] != ["name", "female", "male"]:
            raise InvalidInput(
                f"the header of {field} is {','.join(lines[0])[:100]}; name,female,male was expected",
                field=field,
            )
        counts: dict[str, tuple[float, float]] = {}
        totals = [0.0, 0.0]
        for number, (name, female, male) in enumerate(lines[1:], start=2):
            key = letters(name)
            if not key:
                raise InvalidInput(f"line {number} of {field} has no name", field=field, got=number)
            pair = [count(cell, f"line {number} of {field}", field) for cell in (female, male)]
            before = counts.get(key, (0.0, 0.0))
            counts[key] = (before[0] + pair[0], before[1] + pair[1])
            totals = [totals[0] + pair[0], totals[1] + pair[1]]
        if not sum(totals):
            raise InvalidInput(f"{field} counts nobody", field=field)
        prior = {group: total / sum(totals) for group, total in zip(GROUPS, totals, strict=True)}
        return cls(counts, prior, min_count, sha256)

    def proxy(self, first_name: Any) -> ProxyDistribution:
        """P(gender | first name); all unknown when the name is missing, an initial, or borne by too few.

        The whole name is looked for first, then its first word, so "Jean-Pierre" is not Jean where the table has both.
        """
        if not isinstance(first_name, str) or not letters(first_name):
            return self._nothing("no first name")
        words = [key for word in first_name.replace("-", " ").split() if len(key := letters(word)) > 1]
        if not words:
            return self._nothing("initials only")
        for key in dict.fromkeys([letters(first_name), *words[:1]]):
            pair = self.counts.get(key)
            if pair is not None and sum(pair) >= max(self.min_count, 1e-12):
                shares = dict(zip(GROUPS, pair, strict=True))
                return ProxyDistribution.of(ATTRIBUTE, shares, self.prior, ("first_name",), self.sha256)
        return self._nothing(
            f"a first name that the table does not have, or of fewer than {self.min_count:g} people"
        )

    def _nothing(self, reason: str) -> ProxyDistribution:
        return ProxyDistribution.nothing(ATTRIBUTE, GROUPS, reason, self.sha256)
