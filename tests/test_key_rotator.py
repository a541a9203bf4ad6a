"""Rotation of data, login, token and ledger keys: nothing becomes unreadable, what is old is written anew, each has its event."""

import os
import signal
import threading
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from fairlens_backend import (
    account_manager,
    config,
    credentials,
    dead_letter_box,
    job_runner,
    key_jobs,
    key_reader,
    key_rotator,
    ledger_keeper,
    security_utils,
    signing_keys,
)
from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser
from fairlens_backend.errors import (
    Conflict,
    InvalidInput,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Unavailable,
)
from fairlens_backend.job_steps import Call
from fairlens_backend.storage import keys, sealed_rows
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from tests import evidence_kit, key_kit
from tests.ingest_kit import NOW, SENDER, event, register, send
from tests.key_kit import MAIL, SECRET, run_jobs

pytestmark = pytest.mark.usefixtures("database", "cheap_passwords")
HOUR = timedelta(hours=1)


@pytest.fixture
def filled(database: None) -> None:
    """Three of everything."""
    key_rotator.ensure_keys(NOW)
    register()
    key_kit.fill()


def rotate(kind: str, tenant: str = "default", now: datetime = NOW, **more: Any) -> dict[str, Any]:
    return key_rotator.rotate(kind, tenant, "ann", now, **more)


def shown(kind: str, tenant: str = "default", now: datetime = NOW) -> dict[str, Any]:
    return next(one for one in key_reader.show(tenant, now) if one["kind"] == kind)


def test_everything_encrypted_comes_under_the_new_data_key(filled: None) -> None:
    """Texts, letters and routes' secrets are readable throughout; after the job all begin with the new key's number."""
    before = key_kit.opened()
    assert rotate("data")["version"] == 2
    assert key_kit.opened() == before
    assert shown("data")["outstanding"] == {"alert_texts": 3, "dead_letters": 3, "alert_routes": 3}
    assert not shown("data")["settled"] and shown("data")["job"]["state"] == "waiting"
    run_jobs()
    assert key_kit.opened() == before
    assert all(one.startswith("k2.") for some in key_kit.sealed().values() for one in some)
    found = shown("data")
    assert (found["settled"], found["job"]["state"], set(found["outstanding"].values())) == (
        True,
        "done",
        {0},
    )
    assert before["alert_routes"] == [SECRET] * 3
    assert key_kit.events_of("data") == [
        {"tenant": "default", "key": "data", "version": 2, "by_user_id": None}
    ]


def test_tokens_from_before_keys_had_numbers_are_taken_along(filled: None) -> None:
    """A Fernet token without a mark opens, and is under the new key after the job."""
    bare = key_kit.sealed()["alert_routes"][0].partition(".")[2]
    evidence_kit.sql("UPDATE alert_routes SET encrypted_target = :token WHERE name = 'route 1'", token=bare)
    assert security_utils.decrypt_text(bare) == SECRET
    rotate("data")
    run_jobs()
    assert key_kit.opened()["alert_routes"] == [SECRET] * 3
    assert all(one.startswith("k2.") for one in key_kit.sealed()["alert_routes"])


def test_what_a_late_writer_left_under_the_old_key_is_found_by_the_second_pass(filled: None) -> None:
    """A request that held the old key wrote after the first pass."""
    old = security_utils.encrypt_text(SECRET)
    rotate("data")
    job_runner.run_due(NOW, budget_s=1e9)
    assert job_runner.run_due(NOW + timedelta(seconds=9), budget_s=1e9) == 0
    evidence_kit.sql("UPDATE alert_routes SET encrypted_target = :token WHERE name = 'route 1'", token=old)
    job_runner.run_due(NOW + timedelta(seconds=11), budget_s=1e9)
    assert all(one.startswith("k2.") for one in key_kit.sealed()["alert_routes"])


def test_the_job_of_a_key_that_was_replaced_meanwhile_ends(filled: None) -> None:
    """The newest key's job does all; the older one's says which."""
    rotate("data")
    rotate("data")
    rotate("tokens", "acme")
    rotate("tokens", "acme")
    run_jobs()
    for tenant in ("default", "acme"):
        done = job_runner.page(tenant, "done", 5, None)["items"]
        assert {one["result"].get("superseded_by") for one in done} == {None, 3}
    assert all(one.startswith("k3.") for some in key_kit.sealed().values() for one in some)
    assert {one.key_version for one in key_kit.details()} == {3} and len(key_kit.tokens_kept()) == 1


def test_a_job_that_is_there_before_its_key_is_tried_again(filled: None) -> None:
    """As with Redis, where the job is seen before the rotation is committed."""
    for do, tenant in ((key_jobs.reencrypt, "default"), (key_jobs.renew_tokens, "acme")):
        with pytest.raises(Unavailable, match="version 2 is not there yet"):
            do(Call(tenant, {"version": 2}, None, "ann", NOW))


def test_a_row_that_somebody_changed_meanwhile_is_left_to_them(filled: None) -> None:
    """The job's write is refused where the row is not what it read."""
    row = sealed_rows.Sealed(1, key_kit.sealed()["alert_routes"][0])
    evidence_kit.sql("UPDATE alert_routes SET encrypted_target = 'theirs' WHERE id = 1")
    with unit_of_work():
        assert not sealed_rows.replace("alert_routes", row, "mine")
    assert key_kit.sealed()["alert_routes"][0] == "theirs"


def test_an_altered_text_stops_nothing_and_is_counted(filled: None) -> None:
    """It stays the evidence that it is; older keys can then not be retired without that being said."""
    evidence_kit.sql("UPDATE fairness_checks SET encrypted_alert = 'altered' WHERE seq = 2")
    rotate("data")
    run_jobs()
    assert shown("data")["outstanding"]["alert_texts"] == 1
    job = job_runner.page("default", "done", 5, None)["items"][0]
    assert job["result"] == {"reencrypted": 8, "unreadable": 1}
    with pytest.raises(Conflict, match="1 alert texts"):
        key_rotator.retire("data", "default", "ann", NOW + HOUR)


def test_older_data_keys_are_retired_when_nothing_needs_them(filled: None) -> None:
    """Not before the job is done, not within the hour; afterwards everything still opens, and only one key is there."""
    rotate("data")
    with pytest.raises(Conflict, match="0 minutes old"):
        key_rotator.retire("data", "default", "ann", NOW)
    with pytest.raises(Conflict, match="3 alert texts, 3 dead letters, 3 alert routes"):
        key_rotator.retire("data", "default", "ann", NOW + HOUR)
    elsewhere = security_utils.encrypt_text("x")
    run_jobs()
    assert key_rotator.retire("data", "default", "ann", NOW + HOUR)["retired"] == 1
    assert key_rotator.retire("data", "default", "ann", NOW + HOUR)["retired"] == 0
    assert security_utils.decrypt_text(elsewhere) == "x"
    assert key_kit.opened()["alert_texts"] == ["text 1", "text 2", "text 3"]
    assert [one["version"] for one in shown("data")["versions"]] == [2]
    assert key_kit.events_of("data")[-1]["action"] == "retired"


def test_where_no_server_ever_started_there_is_nothing_to_retire(database: None) -> None:
    """The command before the first start: no key is there, none is destroyed, and that is no error."""
    for kind in ("data", "tokens", "master"):
        assert key_rotator.retire(kind, "default", "", NOW)["retired"] == 0


@pytest.mark.parametrize("kill_after", [1, 2, 4])
def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    filled: None, monkeypatch: pytest.MonkeyPatch, kill_after: int
) -> None:
    """kill −9 between a step's write and its end, row by row: everything opens, and the next worker finishes."""
    monkeypatch.setattr(key_jobs, "ROWS_A_STEP", 1)
    before = key_kit.opened()
    rotate("data")
    rotate("tokens", "acme")

    def work() -> None:
        real, count = job_runner.job_queue.advance, [0]

        def advance(*given: Any) -> Any:
            count[0] += 1
            if count[0] == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given)

        job_runner.job_queue.advance = advance  # type: ignore[assignment]
        job_runner.run_due(NOW, budget_s=1e9)

    assert evidence_kit.in_child(work) != 0
    assert key_kit.opened()["alert_texts"] == before["alert_texts"]
    later = NOW + timedelta(seconds=config.current().job_lease_s + 1)
    run_jobs(later)
    assert all(one.startswith("k2.") for some in key_kit.sealed().values() for one in some)
    assert key_kit.opened()["alert_texts"] == before["alert_texts"]
    assert len(key_kit.tokens_kept()) == 1


def test_a_job_that_was_never_enqueued_is_found_by_the_clock(filled: None) -> None:
    """As after a crash between the rotation and Redis; once done, the clock enqueues nothing."""
    rotate("data")
    rotate("tokens", "acme")
    evidence_kit.sql("DELETE FROM jobs")
    assert key_rotator.follow(NOW) == 2
    assert key_rotator.follow(NOW) == 2
    run_jobs()
    evidence_kit.sql("DELETE FROM jobs")
    assert key_rotator.follow(NOW + HOUR) == 0
    assert job_runner.page("default", None, 5, None)["items"] == []


def test_equal_values_have_equal_tokens_again_after_a_rotation(filled: None) -> None:
    """New events have new tokens at once; the job brings details and dead letters along; the value behind is the same."""
    (old,) = key_kit.tokens_kept()
    rotate("tokens", "acme")
    send([event("e9", features={"email": MAIL, "note": f"from {MAIL}"})])
    assert len(key_kit.tokens_kept()) == 2
    assert shown("tokens", "acme")["outstanding"] == {"batches_of_details": 3}
    run_jobs()
    (new,) = key_kit.tokens_kept()
    assert new != old
    assert PiiTokeniser(security_utils.token_key("acme", 2)).detokenise(new) == MAIL
    assert [one.features["note"] for one in key_kit.details()] == [[f"from {new}"]] * 4  # type: ignore[call-overload]
    assert {one.key_version for one in key_kit.details()} == {2}
    assert shown("tokens", "acme")["settled"]
    (said,) = key_kit.events_of("tokens")
    assert (said["tenant"], said["version"]) == ("acme", 2)


def test_a_token_key_is_the_tenants_alone(filled: None) -> None:
    """Another tenant's tokens and version stay; the second version is random and not derived from anything."""
    register(tenant="other")
    rotate("tokens", "acme")
    assert shown("tokens", "other")["version"] == 1
    assert len(security_utils.token_key("acme", 2)) == 64
    with pytest.raises(NotFound):
        security_utils.token_key("other", 2)


def test_tokens_of_an_older_key_that_come_back_become_new_ones(filled: None) -> None:
    """In a replayed dead letter, mended or not, and in an event; twice rotated as well."""
    rotate("tokens", "acme")
    rotate("tokens", "acme")
    letter = dead_letter_box.list_letters("acme")["items"][0]["id"]
    (old,) = key_kit.tokens_kept()
    mended = event("bad-1", features={"email": old})
    dead_letter_box.replay(SENDER, letter, mended, NOW)
    send([event("e9", features={"email": old, "note": [f"of {old}"]})])
    for batch in key_kit.details()[-2:]:
        kept = batch.features["email"][0]  # type: ignore[call-overload]
        assert PiiTokeniser(security_utils.token_key("acme", 3)).detokenise(kept) == MAIL
    assert key_kit.details()[-1].features["note"] == [[f"of {kept}"]]  # type: ignore[call-overload]


def test_a_key_that_another_worker_retired_leaves_the_memory(
    filled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a minute: a process reads token keys anew by then, and one that is gone opens nothing there either."""
    clock = [1000.0]
    monkeypatch.setattr(security_utils, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    rotate("tokens", "acme")
    old = security_utils.token_key("acme", 2)
    rotate("tokens", "acme")
    with unit_of_work():  # as a worker does it whose memory is not this one's
        keys.end_own(keys.TOKENS, "acme", 3, NOW)
        assert keys.destroy_ended(keys.TOKENS, "acme", NOW) == 1
    clock[0] += 59
    assert security_utils.token_key("acme", 2) == old
    clock[0] += 1
    with pytest.raises(NotFound):
        security_utils.token_key("acme", 2)
    assert old not in [key for _, key in security_utils._token_keys.values()]


def test_older_token_keys_are_retired_when_the_job_is_done(filled: None) -> None:
    """Then old tokens that were copied elsewhere open no more; what is stored does."""
    (old,) = key_kit.tokens_kept()
    rotate("tokens", "acme")
    with pytest.raises(Conflict, match="3 batches"):
        key_rotator.retire("tokens", "acme", "ann", NOW + HOUR)
    run_jobs()
    assert key_rotator.retire("tokens", "acme", "ann", NOW + HOUR)["retired"] == 1
    security_utils.forget_keys()
    with pytest.raises(NotFound):
        security_utils.token_key("acme", 1)
    key, former = security_utils.token_keys("acme", 2)
    assert former == ()
    with pytest.raises(InvalidInput):
        PiiTokeniser(key).detokenise(old)
    send([event("e9", features={"email": MAIL})])
    assert len(key_kit.tokens_kept()) == 1


def login() -> dict[str, Any]:
    return account_manager.login("ann", "correct horse battery", "::1", NOW)


@pytest.fixture
def ann(database: None) -> None:
    with unit_of_work():
        from fairlens_backend.storage import users

        users.add_user("default", "ann", credentials.hash_password("correct horse battery"), "admin", NOW)


def test_logins_outlive_a_rotation_of_the_key_that_signs(ann: None) -> None:
    """Tokens of the old key are taken until they expire, new ones name the new key; nothing but the header tells."""
    old = login()
    assert jwt.get_unverified_header(old["access_token"])["kid"] == "1"
    assert rotate("jwt")["version"] == 2
    new = login()
    assert jwt.get_unverified_header(new["access_token"])["kid"] == "2"
    for tokens in (old, new):
        assert account_manager.identify(tokens["access_token"], NOW).username == "ann"
    renewed = account_manager.refresh(old["refresh_token"], NOW)
    assert jwt.get_unverified_header(renewed["access_token"])["kid"] == "2"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(new["access_token"], config.current().jwt_secret, algorithms=["HS256"])
    assert [one["version"] for one in shown("jwt")["versions"]] == [2, 1]
    end = NOW + timedelta(seconds=config.current().jwt_refresh_expire)
    assert [one["version"] for one in shown("jwt", now=end)["versions"]] == [2]
    assert signing_keys.find("1", end) is None


def test_a_revoking_rotation_ends_every_login_at_once(ann: None) -> None:
    """Old access and refresh tokens are refused, also with a valid signature of JWT_SECRET made afterwards; a new login works."""
    old = login()
    done = rotate("jwt", revoke=True)
    assert (done["version"], done["revoked"], done["logins_ended"]) == (2, True, 1)
    for read in (account_manager.identify, account_manager.refresh):
        for token in (old["access_token"], old["refresh_token"]):
            with pytest.raises(NotAuthenticated):
                read(token, NOW)
    new = login()
    assert account_manager.identify(new["access_token"], NOW).username == "ann"
    claims = jwt.decode(new["access_token"], options={"verify_signature": False})
    forged = jwt.encode(claims, config.current().jwt_secret, algorithm="HS256", headers={"kid": "1"})
    for token in (forged, jwt.encode(claims, config.current().jwt_secret, algorithm="HS256")):
        with pytest.raises(NotAuthenticated) as caught:
            account_manager.identify(token, NOW)
        assert caught.value.details["reason"] == "revoked"
    assert key_kit.events_of("jwt")[-1]["revoked"] is True


@pytest.mark.parametrize("kid", ["3", "0", "-1", "01", "x" * 5000, "", "1.0", "٣"])
def test_a_key_that_there_is_not_signs_nothing(ann: None, kid: str) -> None:
    """401 for any `kid` that is no key's."""
    rotate("jwt")
    claims = jwt.decode(login()["access_token"], options={"verify_signature": False})
    token = jwt.encode(claims, config.current().jwt_secret, algorithm="HS256", headers={"kid": kid})
    with pytest.raises(NotAuthenticated):
        account_manager.identify(token, NOW)


def test_another_process_sees_a_new_key_with_its_first_token(ann: None) -> None:
    """This process has the keys in memory; a token by a key that another one made is taken without waiting."""
    account_manager.identify(login()["access_token"], NOW)
    assert evidence_kit.in_child(lambda: rotate("jwt") and None) == 0
    token = login()["access_token"]
    assert jwt.get_unverified_header(token)["kid"] == "2"
    assert account_manager.identify(token, NOW).username == "ann"


def test_the_ledgers_key_is_rotated_by_the_same_door(database: None) -> None:
    """The old key signs a head that names the new one."""
    key_rotator.ensure_keys(NOW)
    first = ledger_keeper.ensure_key(NOW)
    done = rotate("ledger")
    assert done["version"] == 2 and done["verifier_key"] != first.text
    (said,) = key_kit.events_of("ledger")
    assert said["verifier_key"] == done["verifier_key"]
    assert shown("ledger")["version"] == 2


def test_nothing_becomes_unreadable_while_threads_write_and_keys_rotate(filled: None, ann: None) -> None:
    """Four threads submit, log in and read texts while every kind rotates ten times and the jobs run: no call fails."""
    wrong: list[Exception] = []
    over = threading.Event()

    def again(do: Any) -> None:
        number = 0
        while not over.is_set():
            number += 1
            try:
                do(number)
            except Exception as error:  # noqa: BLE001 (whatever it is, the test is to fail by it)
                wrong.append(error)
                return

    def read(number: int) -> None:
        assert key_kit.opened()["alert_texts"][:3] == ["text 1", "text 2", "text 3"]

    def sign(number: int) -> None:
        account_manager.identify(login()["access_token"], NOW)

    def ingest(number: int) -> None:
        send([event(f"t{number}", features={"email": MAIL}), {**event(f"x{number}"), "prediction": 5}])

    def jobs(number: int) -> None:
        key_rotator.follow(NOW)
        job_runner.run_due(NOW + timedelta(minutes=number), budget_s=1)

    threads = [threading.Thread(target=again, args=(do,)) for do in (read, sign, ingest, jobs)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        for kind, tenant in (
            ("data", "default"),
            ("jwt", "default"),
            ("tokens", "acme"),
            ("ledger", "default"),
        ):
            rotate(kind, tenant)
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    later = NOW + timedelta(days=2)
    key_rotator.follow(later)
    for number in range(4):
        job_runner.run_due(later + number * timedelta(minutes=1), budget_s=1e9)
    kept = {one.features["email"][0] for one in key_kit.details() if "email" in one.features}  # type: ignore[call-overload]
    assert len(kept) == 1
    assert all(one.startswith("k11.") for some in key_kit.sealed().values() for one in some)


def test_who_may_rotate_what() -> None:
    """A tenant its own token key; the operator all; a tenant is named for tokens only."""
    assert key_rotator.require_may("tokens", "acme", None) == "acme"
    assert key_rotator.require_may("tokens", "default", "acme") == "acme"
    assert key_rotator.require_may("data", "default", None) == "default"
    for kind in ("data", "jwt", "ledger", "master"):
        with pytest.raises(NotAllowed):
            key_rotator.require_may(kind, "acme", None)
    with pytest.raises(NotAllowed):
        key_rotator.require_may("tokens", "acme", "other")
    with pytest.raises(InvalidInput, match="no tenant was expected"):
        key_rotator.require_may("data", "default", "acme")
    with pytest.raises(InvalidInput, match="revoke is for jwt"):
        rotate("data", revoke=True)
    with pytest.raises(InvalidInput, match="not retired by hand"):
        key_rotator.retire("jwt", "default", "ann", NOW)


def test_no_key_is_ever_shown(filled: None) -> None:
    """Neither in the list nor in an answer nor in the ledger."""
    answers = [
        rotate(kind, tenant) for kind, tenant in (("data", "default"), ("jwt", "default"), ("tokens", "acme"))
    ]
    with read_snapshot():
        secrets = [row.wrapped_key for row in (*keys.newest_first(), *keys.all_own()) if row.wrapped_key]
    said = repr(
        [answers, key_reader.show("default", NOW), key_kit.events_of("data"), key_kit.events_of("tokens")]
    )
    for secret in [*secrets, config.current().fernet_key, config.current().jwt_secret]:
        assert secret not in said
    assert security_utils.token_key("acme", 2).hex() not in said
