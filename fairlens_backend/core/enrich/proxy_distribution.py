"""What a proxy says: probabilities of groups, never one group."""

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlens_backend.errors import InvalidInput


@dataclass(frozen=True)
class ProxyDistribution:
    """P(group | what is known of a person), with what remains unknown.

    Parameters
    ----------
    attribute : of which the groups are
    probabilities : of each group, in [0, 1]; with `unknown` they sum to 1
    unknown : the part of which nothing can be said: 1 where the name or place is missing or in no table
    proxy_quality_score : in [0, 1]: the share of the uncertainty (entropy) about the group that the proxy takes away,
        against the shares of the groups in the whole table. 0: no more is known than before; 1: certain.
    basis : what it was read from, such as ("surname", "zip")
    reason : why something is missing; None when nothing is
    table_sha256 : of the table it was read from

    Source: the score is the one of `core.proxies`, for one person.
    """

    attribute: str
    probabilities: Mapping[str, float]
    unknown: float
    proxy_quality_score: float
    basis: tuple[str, ...]
    reason: str | None
    table_sha256: str

    @classmethod
    def of(
        cls,
        attribute: str,
        shares: Mapping[str, float],
        prior: Mapping[str, float],
        basis: tuple[str, ...],
        table_sha256: str,
        reason: str | None = None,
    ) -> "ProxyDistribution":
        """From non-negative weights of the groups, which are brought to a sum of 1."""
        total = math.fsum(shares.values())
        probabilities = {group: share / total for group, share in shares.items()}
        before = entropy(prior)
        quality = max(0.0, 1.0 - entropy(probabilities) / before) if before > 0 else 0.0
        return cls(attribute, probabilities, 0.0, min(1.0, quality), basis, reason, table_sha256)

    @classmethod
    def nothing(
        cls, attribute: str, groups: tuple[str, ...], reason: str, table_sha256: str
    ) -> "ProxyDistribution":
        """Nothing is known; the reason says why and never the name."""
        return cls(attribute, dict.fromkeys(groups, 0.0), 1.0, 0.0, (), reason, table_sha256)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form, marked `is_proxy`."""
        return {
            "attribute": self.attribute,
            "is_proxy": True,
            "probabilities": dict(self.probabilities),
            "unknown": self.unknown,
            "proxy_quality_score": self.proxy_quality_score,
            "basis": list(self.basis),
            "reason": self.reason,
            "table_sha256": self.table_sha256,
        }


def entropy(shares: Mapping[str, float]) -> float:
    """Of shares that sum to 1, in nats."""
    return -math.fsum(share * math.log(share) for share in shares.values() if share > 0)


def letters(text: str) -> str:
    """The letters of a name, without accents and difference of case: "José-María" is "josemaria".

    >>> letters("O'Brien "), letters("Müller")
    ('obrien', 'muller')
    """
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if c.isalpha()).casefold()


def zip_code(value: Any) -> str | None:
    """A US ZIP code of five digits from 5, 9 or 5-4 digits, or from a number that lost its zeros in front; else None.

    Examples
    --------
    >>> [zip_code(v) for v in ("02139", "90210-1234", 2139, "2139", "SW1A 1AA", None)]
    ['02139', '90210', '02139', None, None, None]
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:05d}" if 0 < value <= 99_999 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    digits = text.replace("-", "", 1) if len(text) == 10 and text[5] == "-" else text
    return digits[:5] if len(digits) in (5, 9) and digits.isascii() and digits.isdigit() else None


def read_lines(table: bytes, field: str, most: int = 64_000_000) -> tuple[list[list[str]], str]:
    """The cells of a CSV table in UTF-8, and its digest.

    Raises
    ------
    InvalidInput
        It is empty, too large, no UTF-8, or a line has another number of cells than the first.
    """
    import csv
    import io

    if len(table) > most:
        raise InvalidInput(f"{field} has {len(table)} bytes, at most {most} are read", field=field)
    try:
        lines = [line for line in csv.reader(io.StringIO(table.decode("utf-8-sig")), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{field} is no CSV in UTF-8: {error}", field=field) from None
    if len(lines) < 2:
        raise InvalidInput(f"{field} has no line below its header", field=field)
    for number, line in enumerate(lines, start=1):
        if len(line) != len(lines[0]):
            raise InvalidInput(
                f"line {number} of {field} has {len(line)} cells, its header {len(lines[0])}",
                field=field,
                got=number,
            )
    return lines, hashlib.sha256(table).hexdigest()


def count(cell: str, where: str, field: str) -> float:
    """A number of people or households; refused when it is none."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InvalidInput(
            f"{where} is {cell[:40]!r}; a number of 0 or more was expected", field=field, got=cell[:40]
        )
    return value
