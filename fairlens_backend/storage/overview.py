"""What the rows of all tenants sum up to, for the operator's gauges: each question bounded, whatever the history."""

from typing import Final

from sqlalchemy import func, select

from fairlens_backend.storage.alert_tables import Alert
from fairlens_backend.storage.event_tables import DeadLetter
from fairlens_backend.storage.session import current_session, lock_for_append
from fairlens_backend.storage.tables import FairnessCheck
from fairlens_backend.storage.tallies import read_tally, tallies, write_tally

AUDITS_AT_ONCE: Final = 5_000
MANY: Final = 100_000
_SEEN: Final = "audits.seen"
_SUMS: Final = "audits.severity."
_LOCK: Final = 0x74616C6C79  # "tally": any number that no other appender takes


def tally_audits() -> int:
    """Carry the sums of audits by severity on, by a bounded number of them; how many. In a unit of work."""
    lock_for_append(_LOCK)
    seen = read_tally(_SEEN)
    new = _newer(seen)
    if new:
        sums = tallies(_SUMS)
        for severity, n in _by_severity(new).items():
            write_tally(_SUMS + severity, sums.get(severity, 0) + n)
        write_tally(_SEEN, seen + len(new))
    return len(new)


def audits_waiting() -> bool:
    """Whether there are audits that the sums do not have yet."""
    wanted = select(FairnessCheck.seq).where(FairnessCheck.seq > read_tally(_SEEN)).limit(1)
    return current_session().execute(wanted).first() is not None


def audits_by_severity() -> dict[str, int]:
    """How many audits there were of each severity: the sums, and those that are not carried over yet."""
    found = tallies(_SUMS)
    for severity, n in _by_severity(_newer(read_tally(_SEEN))).items():
        found[severity] = found.get(severity, 0) + n
    return found


def dead_letters() -> int:
    """How many dead letters there are; 100,000 stands for more."""
    some = select(DeadLetter.id).limit(MANY).subquery()
    return current_session().scalar(select(func.count()).select_from(some)) or 0


def alerts_by_state() -> dict[tuple[str, str], int]:
    """How many alerts that are not resolved there are, by severity and state."""
    counted = select(Alert.severity, Alert.state, func.count()).where(Alert.state != "resolved")
    rows = current_session().execute(counted.group_by(Alert.severity, Alert.state))
    return {(severity, state): n for severity, state, n in rows}


def _newer(seen: int) -> list[str]:
    """The severities of the audits behind that one, in the order of the chain, which has no gaps."""
    wanted = select(FairnessCheck.severity).where(FairnessCheck.seq > seen)
    return list(current_session().scalars(wanted.order_by(FairnessCheck.seq).limit(AUDITS_AT_ONCE)))


def _by_severity(severities: list[str]) -> dict[str, int]:
    return {one: severities.count(one) for one in set(severities)}
