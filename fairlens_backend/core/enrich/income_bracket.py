"""P(income bracket | ZIP) from a table of households, such as table B19001 of the American Community Survey."""

from dataclasses import dataclass
from typing import Any, Final

from fairlens_backend.core.enrich.proxy_distribution import ProxyDistribution, count, read_lines, zip_code
from fairlens_backend.errors import InvalidInput

ATTRIBUTE: Final = "income_bracket"


@dataclass(frozen=True)
class IncomeTable:
    """Households by ZIP code and income bracket; a ZIP code without households is absent."""

    brackets: tuple[str, ...]
    households: dict[str, tuple[float, ...]]
    prior: dict[str, float]
    sha256: str

    @classmethod
    def read(cls, table: bytes, *, field: str = "income_by_zip") -> "IncomeTable":
        """A table from CSV.

        Parameters
        ----------
        table : CSV in UTF-8; the header is zip and the names of two brackets or more, the cells are households
        field : where the table comes from, for messages

        Raises
        ------
        InvalidInput
            The header, a ZIP code or a count is not as described, or a ZIP code is there twice; it names the line.

        Examples
        --------
        >>> table = IncomeTable.read(b"zip,under_50k,50k_plus\\n02139,40,60\\n10001,10,90\\n")
        >>> table.proxy("02139-4307").probabilities
        {'under_50k': 0.4, '50k_plus': 0.6}
        """
        lines, sha256 = read_lines(table, field)
        first, *names = [cell.strip() for cell in lines[0]]
        if (
            first.lower() not in ("zip", "zcta", "zcta5")
            or len(names) < 2
            or len(set(names)) < len(names)
            or "" in names
        ):
            raise InvalidInput(
                f"the header of {field} is {','.join(lines[0])[:100]}; zip and two distinct brackets or more were expected",
                field=field,
            )
        households: dict[str, tuple[float, ...]] = {}
        for number, (cell, *cells) in enumerate(lines[1:], start=2):
            code = zip_code(cell)
            if code is None:
                raise InvalidInput(
                    f"line {number} of {field} has no ZIP code of five digits: {cell[:20]!r}",
                    field=field,
                    got=cell[:20],
                )
            if code in households:
                raise InvalidInput(
                    f"line {number} of {field} has {code} for the second time", field=field, got=code
                )
            households[code] = tuple(count(one, f"line {number} of {field}", field) for one in cells)
        totals = [sum(column) for column in zip(*households.values(), strict=True)]
        if not sum(totals):
            raise InvalidInput(f"{field} counts no household", field=field)
        prior = {name: total / sum(totals) for name, total in zip(names, totals, strict=True)}
        return cls(tuple(names), {code: row for code, row in households.items() if any(row)}, prior, sha256)

    def proxy(self, zip_: Any) -> ProxyDistribution:
        """P(bracket | ZIP): the shares of households there; all unknown when the ZIP code is missing or in no line."""
        code = zip_code(zip_)
        row = self.households.get(code) if code is not None else None
        if row is None:
            reason = "no ZIP code" if code is None else "a ZIP code that the table does not have"
            return ProxyDistribution.nothing(ATTRIBUTE, self.brackets, reason, self.sha256)
        shares = dict(zip(self.brackets, row, strict=True))
        return ProxyDistribution.of(ATTRIBUTE, shares, self.prior, ("zip",), self.sha256)
