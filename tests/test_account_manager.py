"""Accounts: logging in, waiting, rotating tokens, users of a tenant. The clock is passed in."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlens_backend import account_manager, config, credentials, login_throttle
from fairlens_backend.errors import (
    Conflict,
    FairLensError,
    InvalidInput,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    RateLimited,
)
from fairlens_backend.storage import users
from fairlens_backend.storage.session import read_snapshot, unit_of_work

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
ADMIN_PASSWORD = "Vq9-tree-Kite-river-42"
PASSWORD = "correct horse battery staple"


@pytest.fixture
def full_cost() -> None:
    """Passwords are hashed as in production, where their cost is what the test is about."""


@pytest.fixture(autouse=True)
def admin(request: pytest.FixtureRequest, database: None) -> None:
    if "full_cost" not in request.fixturenames:
        request.getfixturevalue("cheap_passwords")
    account_manager.ensure_admin(NOW)


def after(**units: float) -> datetime:
    return NOW + timedelta(**units)


def log_in(password: str = ADMIN_PASSWORD, username: str = "admin", now: datetime = NOW) -> dict[str, Any]:
    return account_manager.login(username, password, "192.0.2.1", now)


def make_user(username: str = "eve", role: str = "monitor", **more: Any) -> dict[str, Any]:
    given = {"by": "admin", "by_tenant": "default", "password": PASSWORD, "now": NOW, **more}
    return account_manager.create_user(username=username, role=role, **given)


def outcome(call: Callable[[], Any]) -> str:
    try:
        call()
    except FairLensError as error:
        return type(error).__name__
    return "ok"


def at_once(calls: list[Callable[[], Any]]) -> list[str]:
    """Outcomes of calls that start together, each in a thread of its own."""
    barrier = threading.Barrier(len(calls))
    outcomes: list[str] = [""] * len(calls)

    def run(place: int) -> None:
        barrier.wait()
        outcomes[place] = outcome(calls[place])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


class CountingArgon2:
    """Argon2id that remembers the cost of every verification."""

    verified: list[str]
    real: Any = credentials.Argon2id

    def __new__(cls, **given: Any) -> Any:
        return cls.real(**given)

    @classmethod
    def verify_phc_encoded(cls, material: bytes, phc: str) -> None:
        cls.verified.append(phc.rsplit("$", 2)[0])
        cls.real.verify_phc_encoded(material, phc)


# --- the first administrator


def test_first_admin_is_made_once_when_workers_start_together(make_settings: Any) -> None:
    """Several workers that find no user make exactly one administrator between them, and none raises."""
    with unit_of_work():
        user = users.find_user("admin")
        assert user is not None
        users.delete_user(user)
    assert at_once([lambda: account_manager.ensure_admin(NOW)] * 4) == ["ok"] * 4
    assert [one["username"] for one in account_manager.list_users("default", NOW)["items"]] == ["admin"]


def test_first_admin_is_not_made_where_there_is_a_user() -> None:
    """A server with any user keeps its accounts as they are, whatever ADMIN_PASSWORD says now."""
    assert account_manager.ensure_admin(NOW) is False


# --- logging in


def test_login_gives_tokens_that_say_who_and_how_long() -> None:
    """The answer has both tokens, the access token's life in seconds and the role."""
    tokens = log_in()
    assert {name: tokens[name] for name in ("expires_in", "token_type", "role")} == {
        "expires_in": 900,
        "token_type": "Bearer",
        "role": "admin",
    }
    who = account_manager.identify(tokens["access_token"], NOW)
    assert (who.username, who.role, who.tenant) == ("admin", "admin", "default")


def test_unknown_user_and_wrong_password_are_alike(full_cost: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same message, and the same one verification at the same cost: neither tells whether a name exists."""
    CountingArgon2.verified = []
    monkeypatch.setattr(credentials, "Argon2id", CountingArgon2)
    with pytest.raises(NotAuthenticated) as wrong:
        log_in("not the password")
    with pytest.raises(NotAuthenticated) as unknown:
        log_in("not the password", username="nobody")
    assert (wrong.value.message, wrong.value.details) == (unknown.value.message, unknown.value.details)
    assert CountingArgon2.verified == ["$argon2id$v=19$m=19456,t=2,p=1"] * 2


def test_unknown_user_is_slowed_and_locked_like_a_known_one(make_settings: Any) -> None:
    """The sequence of answers to wrong logins is the same for a name without an account."""
    times = [after(seconds=second) for second in (0, 0, 0, 0.5, 1, 2, 3, 4, 900, 903)]
    known = [outcome(lambda now=now: log_in("wrong", now=now)) for now in times]
    assert [outcome(lambda now=now: log_in("wrong", "nobody", now)) for now in times] == known


def test_names_no_column_can_hold_are_unknown_users() -> None:
    """A NUL, a control character or SQL in a name is a wrong login, not an error of the database."""
    for name in ("a\0b", "a\nb", "admin' OR '1'='1", "../admin", "x" * 200):
        with pytest.raises(NotAuthenticated):
            log_in(username=name)


def test_failures_in_a_row_slow_the_next_try_down() -> None:
    """Two failures are free; after the third the next try waits 1 s, after the fourth 2 s, and is told so."""
    for _ in range(3):
        assert outcome(lambda: log_in("wrong")) == "NotAuthenticated"
    with pytest.raises(RateLimited) as told:
        log_in()
    assert told.value.retry_after_s == 1
    assert outcome(lambda: log_in("wrong", now=after(seconds=1))) == "NotAuthenticated"
    with pytest.raises(RateLimited) as told:
        log_in(now=after(seconds=1.5))
    assert told.value.retry_after_s == 2
    assert outcome(lambda: log_in(now=after(seconds=3))) == "ok"


def test_a_success_forgets_the_failures() -> None:
    """After a success the count begins anew."""
    for _ in range(2):
        assert outcome(lambda: log_in("wrong")) == "NotAuthenticated"
    log_in()
    for _ in range(3):
        assert outcome(lambda: log_in("wrong")) == "NotAuthenticated"


def fail_until_locked() -> datetime:
    """Five failures, each after its wait; the time of the last."""
    for second in (0, 0, 0, 1, 3):
        assert outcome(lambda second=second: log_in("wrong", now=after(seconds=second))) == "NotAuthenticated"
    return after(seconds=3)


def test_five_failures_lock_for_fifteen_minutes_also_with_the_right_password() -> None:
    """LOGIN_MAX_FAILURES in a row lock for LOGIN_LOCK_S; Retry-After counts down; then the right password works."""
    locked_at = fail_until_locked()
    with pytest.raises(RateLimited) as told:
        log_in(now=locked_at + timedelta(seconds=100))
    assert (told.value.retry_after_s, told.value.details["reason"]) == (800, "locked")
    assert outcome(lambda: log_in(now=locked_at + timedelta(seconds=900))) == "ok"


def test_after_a_lock_one_more_failure_does_not_lock_at_once() -> None:
    """A lock that has ended is forgotten: whoever mistypes once more is not locked out again."""
    locked_at = fail_until_locked()
    assert outcome(lambda: log_in("wrong", now=locked_at + timedelta(seconds=900))) == "NotAuthenticated"
    assert outcome(lambda: log_in(now=locked_at + timedelta(seconds=901))) == "ok"


def test_old_failures_are_forgotten() -> None:
    """A failure a month is no guessing: failures older than a lock would last do not add up."""
    for day in range(10):
        assert outcome(lambda day=day: log_in("wrong", now=after(days=day))) == "NotAuthenticated"


def test_wrong_logins_at_once_are_all_counted(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 guesses made in parallel exactly 8 are answered when 8 failures lock: none slips past the count."""
    make_settings(LOGIN_MAX_FAILURES="8")
    monkeypatch.setattr(login_throttle, "FREE_FAILURES", 100)
    outcomes = at_once([lambda: log_in("wrong")] * 20)
    assert (outcomes.count("NotAuthenticated"), outcomes.count("RateLimited")) == (8, 12)
    with read_snapshot():
        user = users.find_user("admin")
    assert user is not None
    assert user.failed_logins == 8


def test_right_password_among_parallel_guesses_after_the_lock_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A guess that began before the lock and is right after it gets the lock's answer, so it teaches nothing."""
    real = credentials.verify_password

    def lock_meanwhile(password: str, password_hash: str | None) -> bool:
        with unit_of_work():
            row = users.lock_user("admin")
            assert row is not None
            row.failed_logins, row.last_failure_at, row.locked_until = 5, NOW, after(seconds=900)
        return real(password, password_hash)

    monkeypatch.setattr(credentials, "verify_password", lock_meanwhile)
    assert outcome(log_in) == "RateLimited"


def test_login_makes_the_hash_anew_when_the_cost_has_changed(
    full_cost: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hash of a lower cost is replaced at the next login, and the password still works."""
    monkeypatch.setattr(credentials, "ITERATIONS", 1)
    make_user()
    monkeypatch.setattr(credentials, "ITERATIONS", 2)
    log_in(PASSWORD, "eve")
    with read_snapshot():
        user = users.find_user("eve")
    assert user is not None
    assert user.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert outcome(lambda: log_in(PASSWORD, "eve")) == "ok"


# --- tokens


def test_access_token_stops_when_its_time_is_over() -> None:
    """It works in its last second and not at its end."""
    token = log_in()["access_token"]
    assert account_manager.identify(token, after(seconds=899)).username == "admin"
    with pytest.raises(NotAuthenticated) as told:
        account_manager.identify(token, after(seconds=900))
    assert told.value.details["reason"] == "expired"


def test_refresh_token_is_no_access_token_and_the_other_way_round() -> None:
    """A token says its type and is taken only as that."""
    tokens = log_in()
    with pytest.raises(NotAuthenticated, match="type refresh"):
        account_manager.identify(tokens["refresh_token"], NOW)
    with pytest.raises(NotAuthenticated, match="type access"):
        account_manager.refresh(tokens["access_token"], NOW)


def test_refresh_rotates() -> None:
    """Each refresh gives a new pair, and the newest refresh token works on."""
    first = log_in()
    second = account_manager.refresh(first["refresh_token"], after(minutes=10))
    third = account_manager.refresh(second["refresh_token"], after(minutes=20))
    assert len({one["refresh_token"] for one in (first, second, third)}) == 3
    assert account_manager.identify(third["access_token"], after(minutes=30)).username == "admin"


def test_a_reused_refresh_token_revokes_its_family_only() -> None:
    """A token used twice is in two hands: every token of that login stops, other logins go on."""
    other, first = log_in(), log_in()
    second = account_manager.refresh(first["refresh_token"], NOW)
    with pytest.raises(NotAuthenticated, match="used before") as told:
        account_manager.refresh(first["refresh_token"], NOW)
    assert told.value.details["reason"] == "reused"
    assert outcome(lambda: account_manager.refresh(second["refresh_token"], NOW)) == "NotAuthenticated"
    assert outcome(lambda: account_manager.identify(second["access_token"], NOW)) == "NotAuthenticated"
    assert outcome(lambda: account_manager.refresh(other["refresh_token"], NOW)) == "ok"


def test_one_refresh_token_used_at_once_by_two_wins_once() -> None:
    """Two uses at the same moment are a reuse: one gets tokens, and the family is revoked."""
    token = log_in()["refresh_token"]
    assert sorted(at_once([lambda: account_manager.refresh(token, NOW)] * 2)) == ["NotAuthenticated", "ok"]


def test_expired_refresh_token_is_refused() -> None:
    """After 30 days one logs in again."""
    token = log_in()["refresh_token"]
    with pytest.raises(NotAuthenticated, match="expired"):
        account_manager.refresh(token, after(days=30))


def test_logout_ends_the_login() -> None:
    """Its refresh token and its access token stop at once; another login of the same user goes on."""
    other, tokens = log_in(), log_in()
    who = account_manager.identify(tokens["access_token"], NOW)
    account_manager.logout(who.username, who.family, NOW)
    assert outcome(lambda: account_manager.identify(tokens["access_token"], NOW)) == "NotAuthenticated"
    assert outcome(lambda: account_manager.refresh(tokens["refresh_token"], NOW)) == "NotAuthenticated"
    assert outcome(lambda: account_manager.identify(other["access_token"], NOW)) == "ok"


def test_tokens_of_a_deleted_user_stop_also_when_the_name_is_given_again() -> None:
    """Neither token works after the account is gone, nor for the next person of that name."""
    make_user()
    tokens = log_in(PASSWORD, "eve")
    account_manager.delete_user("admin", "default", "eve", NOW)
    for _ in range(2):
        assert outcome(lambda: account_manager.identify(tokens["access_token"], NOW)) == "NotAuthenticated"
        assert outcome(lambda: account_manager.refresh(tokens["refresh_token"], NOW)) == "NotAuthenticated"
        if outcome(lambda: log_in(PASSWORD, "eve")) != "ok":
            make_user()


def test_the_number_of_a_deleted_user_is_nobody_elses() -> None:
    """The ledger names people by it alone, so what one person did would be told of the next."""
    numbers = []
    for name in ("eve", "eve", "bob", "carl"):
        make_user(name)
        with read_snapshot():
            user = users.find_user(name)
            assert user is not None
            numbers.append(user.id)
        if name == "bob":  # is kept: a number above that of the last one who went is free
            continue
        account_manager.delete_user("admin", "default", name, NOW)
    assert numbers == sorted(set(numbers))


def test_a_changed_role_stops_access_tokens_and_refresh_gives_the_new_role() -> None:
    """A right that was taken away is gone at the next call, not when the token expires."""
    make_user(role="auditor")
    tokens = log_in(PASSWORD, "eve")
    with unit_of_work():
        row = users.lock_user("eve")
        assert row is not None
        row.role = "monitor"
    with pytest.raises(NotAuthenticated, match="changed"):
        account_manager.identify(tokens["access_token"], NOW)
    assert account_manager.refresh(tokens["refresh_token"], NOW)["role"] == "monitor"


def test_purge_deletes_what_no_token_can_outlive() -> None:
    """A refresh token's row goes when the last access token made with it has expired too, not before."""
    tokens = log_in()
    assert account_manager.purge_expired(after(days=30, seconds=899)) == 0
    assert account_manager.purge_expired(after(days=30, seconds=901)) == 1
    assert outcome(lambda: account_manager.refresh(tokens["refresh_token"], NOW)) == "NotAuthenticated"


# --- users


@pytest.mark.parametrize(
    ("password", "length"),
    [
        ("short-word1", 11),
        ("x" * 1025, 1025),
        ("é" * 513, 513),
        ("Eve-the-auditor", 15),
        ("ababababababab", 14),
    ],
)
def test_weak_passwords_are_refused_and_never_repeated(password: str, length: int) -> None:
    """Under 12 characters, over 1024 bytes, the username, hardly any different characters: 422 with the length only."""
    with pytest.raises(InvalidInput) as told:
        make_user(username="eve-the-auditor", password=password)
    assert (told.value.details["field"], told.value.details["got"]) == ("password", f"{length} characters")
    assert password not in told.value.message


@pytest.mark.parametrize("password", ["x7-abcdefghi", "é7abcdefgh" * 85])
def test_passwords_at_the_limits_are_taken(password: str) -> None:
    """12 characters, and 935 bytes in 850 characters."""
    assert make_user(password=password)["username"] == "eve"


@pytest.mark.parametrize(
    "name", ["", "a b", "a\tb", "a\0b", "../x", "a/b", ".", "x" * 101, "ﬁn", "a:b", "-rf", "a;b'"]
)
def test_names_with_spaces_control_or_path_characters_are_refused(name: str) -> None:
    """Also ligatures and the like, which another spelling would share."""
    with pytest.raises(InvalidInput) as told:
        make_user(username=name)
    assert told.value.details["field"] == "username"


@pytest.mark.parametrize("name", ["x", "x" * 100, "eve.o-hara+x@example.org", "Björk_2", "李明"])
def test_usual_names_are_taken(name: str) -> None:
    """Letters of any script, digits and . _ @ + -"""
    assert make_user(username=name)["username"] == name


def test_a_taken_name_is_a_conflict_also_in_another_tenant_and_at_once() -> None:
    """Names are unique on the server; of two requests with one name one wins."""
    assert sorted(at_once([make_user] * 2)) == ["Conflict", "ok"]
    with pytest.raises(Conflict):
        make_user(tenant="acme")


def test_an_unknown_role_is_refused() -> None:
    """The error names the three roles."""
    with pytest.raises(InvalidInput, match="monitor, auditor, admin"):
        make_user(role="root")


def test_only_the_operator_makes_users_of_another_tenant() -> None:
    """Administrators of "default" may; others make users of their own tenant, with or without naming it."""
    assert make_user("ann", "admin", tenant="acme")["tenant"] == "acme"
    assert make_user("bob", by="ann", by_tenant="acme")["tenant"] == "acme"
    assert make_user("cid", by="ann", by_tenant="acme", tenant="acme")["tenant"] == "acme"
    with pytest.raises(NotAllowed):
        make_user("dan", by="ann", by_tenant="acme", tenant="default")


def test_users_are_listed_by_page_and_of_the_own_tenant_only() -> None:
    """Every user of the tenant comes once, oldest first, across pages; no other tenant's user does."""
    for name in ("u1", "u2", "u3", "u4"):
        make_user(name)
    make_user("ann", tenant="acme")
    seen, cursor = [], None
    while True:
        page = account_manager.list_users("default", NOW, limit=2, cursor=cursor)
        assert len(page["items"]) <= 2
        seen += [one["username"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["admin", "u1", "u2", "u3", "u4"]
    assert [one["username"] for one in account_manager.list_users("acme", NOW)["items"]] == ["ann"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "aWQ6LTE", "aWQ6MTIzNDU2Nzg5MDEyMzQ1Njc4OTA", "é", "'; DROP TABLE users"]
)
def test_a_cursor_nobody_gave_is_refused(cursor: str) -> None:
    """Nonsense, a negative number ("id:-1") and one that no column holds are 422, never an error of the database."""
    with pytest.raises(InvalidInput) as told:
        account_manager.list_users("default", NOW, cursor=cursor)
    assert told.value.details["field"] == "cursor"


def test_a_listed_user_says_when_a_lock_ends_and_no_hash() -> None:
    """`locked_until` is there only while the lock lasts."""
    locked_at = fail_until_locked()
    during = account_manager.list_users("default", locked_at)["items"][0]
    later = account_manager.list_users("default", locked_at + timedelta(seconds=900))["items"][0]
    assert during["locked_until"] == "2026-11-01T12:15:03.000000Z"
    assert later["locked_until"] is None
    assert set(later) == {"username", "role", "tenant", "created_at", "locked_until"}


def test_nobody_deletes_themselves_or_the_last_administrator() -> None:
    """A server must not be left without an administrator."""
    with pytest.raises(Conflict, match="yourself"):
        account_manager.delete_user("admin", "default", "admin", NOW)
    with pytest.raises(Conflict, match="last administrator"):
        account_manager.delete_user("somebody", "default", "admin", NOW)


def test_two_administrators_that_delete_each_other_at_once_leave_one() -> None:
    """The second deletion sees the first."""
    make_user("ann", "admin")
    outcomes = at_once(
        [
            lambda: account_manager.delete_user("admin", "default", "ann", NOW),
            lambda: account_manager.delete_user("ann", "default", "admin", NOW),
        ]
    )
    assert sorted(outcomes) == ["Conflict", "ok"]


def test_users_of_another_tenant_are_not_found() -> None:
    """Also for the operator's administrators, and with the answer of a name that does not exist."""
    make_user("ann", tenant="acme")
    for name in ("ann", "nobody", "a\0b"):
        with pytest.raises(NotFound):
            account_manager.delete_user("admin", "default", name, NOW)


def test_logs_tell_of_changes_and_hold_no_secret(
    make_settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logins, failures, locks, new and deleted users are logged; no password, token or mistyped name is."""
    make_settings(LOG_LEVEL="info")
    make_user()
    tokens = log_in(PASSWORD, "eve")
    account_manager.delete_user("admin", "default", "eve", NOW)
    assert outcome(lambda: log_in("x", username="password-in-the-wrong-field")) == "NotAuthenticated"
    fail_until_locked()
    logged = capsys.readouterr().err
    for event in ("USER_CREATED", "LOGIN", "USER_DELETED", "LOGIN_FAILED", "ACCOUNT_LOCKED"):
        assert f'"event": "{event}"' in logged
    secrets = (
        PASSWORD,
        tokens["access_token"],
        tokens["refresh_token"],
        "wrong-field",
        config.current().jwt_secret,
    )
    assert [secret for secret in secrets if secret in logged] == []
