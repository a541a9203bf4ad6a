"""Jobs about counts: days compared with their raw rows, days counted anew. Each step is one day."""

from datetime import date
from typing import Any, Final

from fairlens_backend import count_keeper, counts_gauge
from fairlens_backend.errors import Conflict, InvalidInput, NotFound
from fairlens_backend.job_steps import Call, Step

MAX_LISTED: Final = 20
MAX_DAYS: Final = 4_000
CHECK: Final = "check_counts"
REBUILD: Final = "rebuild_counts"


def rebuild_arguments(tenant: str, model: str, first: date, last: date) -> dict[str, Any]:
    """What a job is given to count a range of days anew.

    Raises
    ------
    NotFound : nothing of this model was counted in these days
    InvalidInput : the last day is before the first, or too far behind it
    """
    if not 0 <= (last - first).days < MAX_DAYS:
        raise InvalidInput(
            f"last_day is {last}, a day from {first} on, at most {MAX_DAYS} days later, was expected.",
            field="last_day",
            got=str(last),
            expected=f"a day from {first} on, at most {MAX_DAYS} days later",
        )
    days = [str(day) for day in count_keeper.counted_days(tenant, model) if first <= day <= last]
    if not days:
        raise NotFound(
            f"Nothing of the model {model!r:.110} was counted from {first} to {last}.", model_id=model[:100]
        )
    return {"model_id": model, "first_day": str(first), "last_day": str(last), "days": days}


def check(call: Call) -> Step:
    """Compare the day that is due longest; done when none is."""
    so_far = call.checkpoint or {"days": 0, "days_purged": 0, "mismatches": []}
    found = counts_gauge.check_next(call.now)
    if found is None:
        return Step.done(so_far)
    if found.get("purged"):
        return Step(so_far | {"days_purged": so_far["days_purged"] + 1}, 0.0)
    wrong = so_far["mismatches"]
    if found["cells_wrong"] and len(wrong) < MAX_LISTED:
        wrong = [*wrong, found]
    return Step(so_far | {"days": so_far["days"] + 1, "mismatches": wrong}, 0.0)


def rebuild(call: Call) -> Step:
    """Count the next day of the range anew. A day whose raw rows were purged stays as it is."""
    days = call.arguments["days"]
    empty = {"next": 0, "days_counted": 0, "days_purged": 0, "cells_changed": 0, "changed_days": []}
    so_far = call.checkpoint or empty
    if so_far["next"] >= len(days):
        return Step.done({name: value for name, value in so_far.items() if name != "next"})
    day = days[so_far["next"]]
    after = so_far | {"next": so_far["next"] + 1}
    try:
        rows = count_keeper.rebuild_counts(call.tenant, call.arguments["model_id"], date.fromisoformat(day))
    except Conflict:
        after["days_purged"] += 1
    else:
        changed = sum(row["cells_changed"] for row in rows)
        after["days_counted"] += 1
        after["cells_changed"] += changed
        if changed and len(after["changed_days"]) < MAX_LISTED:
            after["changed_days"] = [*after["changed_days"], day]
    return Step(after, after["next"] / len(days))
