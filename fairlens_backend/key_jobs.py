"""Jobs that follow a rotation: what older keys encrypted or tokenised is written anew, a bounded piece a step.

Each may be done twice or by two workers at once: a row is changed only where it still is what was read, and what is under the
new key already is left alone. A request that began before the rotation may still write under the old key, so both go over
everything once more after a while.
"""

import json
from datetime import timedelta
from typing import Any, Final

from cryptography.fernet import InvalidToken

from fairlens_backend import privacy_keeper, security_utils, telemetry
from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser
from fairlens_backend.errors import Unavailable
from fairlens_backend.job_steps import Call, Step
from fairlens_backend.security_utils import DataKeys
from fairlens_backend.storage import sealed_rows, tallies
from fairlens_backend.storage.sealed_rows import COLUMNS, Sealed
from fairlens_backend.storage.session import read_snapshot, unit_of_work

REENCRYPT: Final = "reencrypt"
RENEW_TOKENS: Final = "renew_tokens"
ROWS_A_STEP: Final = 200
BATCHES_A_STEP: Final = 20
SETTLE: Final = timedelta(seconds=10)
"""longer than a request holds a key in its hand: switches are remembered for two seconds"""
PASSES: Final = 2
DATA_DONE: Final = "data key in use everywhere"
TOKENS_DONE: Final = "token key in use everywhere: "


def reencrypt(call: Call) -> Step:
    """Encrypt the next rows anew by the newest data key. A token that cannot be read is left: it is evidence.

    The job of a key that is not the newest any more ends: the newest one's goes over everything.
    """
    at = call.checkpoint or {"pass": 1, "column": 0, "after": 0, "reencrypted": 0, "unreadable": 0}
    fernet = security_utils.load_fernet()
    _require_there(fernet.number, call.arguments["version"])
    if fernet.number > call.arguments["version"]:
        return Step.done({"superseded_by": fernet.number, "reencrypted": at["reencrypted"]})
    if at["column"] >= len(COLUMNS):
        return _next_pass(call, at | {"column": 0, "after": 0}, DATA_DONE, call.arguments["version"])
    name = list(COLUMNS)[at["column"]]
    with read_snapshot():
        rows = sealed_rows.other_than(name, fernet.prefix, at["after"], ROWS_A_STEP)
    new = [(row, token) for row in rows if (token := _reencrypted(fernet, row)) is not None]
    with unit_of_work():
        done = sum(sealed_rows.replace(name, row, token) for row, token in new)
    at["reencrypted"] += done
    if at["pass"] == PASSES:
        at["unreadable"] += len(rows) - len(new)
    if len(rows) < ROWS_A_STEP:
        at |= {"column": at["column"] + 1, "after": 0}
    else:
        at["after"] = rows[-1].id
    return Step(at, _share(at["pass"], at["column"], len(COLUMNS)))


def renew_tokens(call: Call) -> Step:
    """Write the next details and dead letters of a tenant with tokens of its newest key in the place of older ones.

    It ends as `reencrypt` does when there is a newer key.
    """
    at = call.checkpoint or {"pass": 1, "phase": 0, "after": 0, "batches": 0, "letters": 0}
    version = call.arguments["version"]
    with read_snapshot():
        newest = privacy_keeper.show(call.tenant)["token_key_version"]
    _require_there(newest, version)
    if newest > version:
        return Step.done({"superseded_by": newest, "batches": at["batches"], "letters": at["letters"]})
    if at["phase"] > 1:
        return _next_pass(call, at | {"phase": 0, "after": 0}, TOKENS_DONE + call.tenant, version)
    key, former = security_utils.token_keys(call.tenant, version)
    tokeniser = PiiTokeniser(key, former=former)
    found = (_renew_details if at["phase"] == 0 else _renew_letters)(call.tenant, version, tokeniser, at)
    at = at | ({"phase": at["phase"] + 1, "after": 0} if found is None else {"after": found})
    return Step(at, _share(at["pass"], at["phase"], 2))


def renewed(tenant: str, document: Any) -> Any:
    """A JSON document of a tenant with its tokens by the key in use; tokens are text that JSON leaves as it is."""
    with read_snapshot():
        version = privacy_keeper.show(tenant)["token_key_version"]
    if version == 1:
        return document
    key, former = security_utils.token_keys(tenant, version)
    return json.loads(PiiTokeniser(key, former=former).renewed(json.dumps(document)))


def _require_there(newest: int, version: int) -> None:
    # In Redis a job is there a moment before the transaction that made it, and its key, is committed.
    if newest < version:
        raise Unavailable(f"The key of version {version} is not there yet.", retry_after_s=1)


def _renew_details(tenant: str, version: int, tokeniser: PiiTokeniser, at: dict[str, Any]) -> int | None:
    with read_snapshot():
        rows = sealed_rows.old_details(tenant, version, at["after"], BATCHES_A_STEP)
    changed = []
    for batch, _, content in rows:
        text = sealed_rows.text_of(content)
        new = tokeniser.renewed(text)
        changed.append((batch, content, content if new == text else sealed_rows.content_of(new)))
    if changed:
        with unit_of_work():
            at["batches"] += sealed_rows.replace_details(version, changed)
    return rows[-1][0] if len(rows) == BATCHES_A_STEP else None


def _renew_letters(tenant: str, version: int, tokeniser: PiiTokeniser, at: dict[str, Any]) -> int | None:
    with read_snapshot():
        rows = sealed_rows.letters_of(tenant, at["after"], ROWS_A_STEP)
    fernet = security_utils.load_fernet()
    changed = []
    for row in rows:
        try:
            text = fernet.decrypt(row.token).decode()
        except InvalidToken:
            continue  # the job of the data key counts those
        new = tokeniser.renewed(text)
        if new != text:
            changed.append((row, fernet.encrypt(new.encode()).decode()))
    if changed:
        with unit_of_work():
            at["letters"] += sum(sealed_rows.replace("dead_letters", row, token) for row, token in changed)
    return rows[-1].id if len(rows) == ROWS_A_STEP else None


def _next_pass(call: Call, at: dict[str, Any], mark: str, version: int) -> Step:
    if at["pass"] < PASSES:
        again = at | {"pass": at["pass"] + 1}
        return Step(again, 0.5, not_before=call.now + SETTLE)
    with unit_of_work():
        tallies.write_tally(mark, max(version, tallies.read_tally(mark)))
    result = {name: at[name] for name in ("reencrypted", "unreadable", "batches", "letters") if name in at}
    telemetry.log("KEY_IN_USE_EVERYWHERE", tenant=call.tenant, version=version, **result)
    return Step.done(result)


def _reencrypted(fernet: DataKeys, row: Sealed) -> str | None:
    try:
        return fernet.encrypt(fernet.decrypt(row.token)).decode()
    except (InvalidToken, UnicodeError):
        return None


def _share(passed: int, part: int, parts: int) -> float:
    return (passed - 1 + part / parts) / PASSES
