"""The family: every channel tells every turn it hears with all that a person needs, and carries no foreign commands."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from fairlens_backend import alert_messages, config
from fairlens_backend.alert_messages import compose, compose_test, tell
from fairlens_backend.channels import CHANNELS
from fairlens_backend.channels.email import compose_mail
from tests.receiver import Receiver, running_receiver
from tests.vendors import Mailbox, PagerDuty, check_slack, running_mailbox

NOW = datetime(2026, 1, 2, 6, 24, 5, tzinfo=UTC)
OPENED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = "0123456789abcdef0123456789abcdef"
KINDS = ("opened", "reopened", "worse", "reminder", "silence_over", "acknowledged", "resolved")
EVIL = "<!channel> *bold* & <https://evil.example|click>\r\nBcc: victim@example.org\u202e\u0000"


def alert(**changes: Any) -> dict[str, Any]:
    figures = {
        "value": 0.5, "signed": None, "threshold": 0.8, "closing_limit": 0.82, "breached_when": "below",
        "confidence_interval": {"lower": 0.362, "upper": 0.688, "level": 0.95, "method": "katz"},
        "groups_compared": ["Female", "Male"], "sample_sizes": {"Female": 500, "Male": 480}, "sample_size": 980,
        "sentence": "Female is selected 0.50 times as often as Male (20.0 % against 40.0 %); the limit is 0.80.",
        "window_start": None, "window_end": "2026-01-02T06:00:00.000000Z",
    }  # fmt: skip
    return {
        "alert_id": "alr_1", "tenant": "acme", "model": "loan_model", "model_version": "v2", "attribute": "gender",
        "metric": "disparate_impact_ratio", "state": "open", "severity": "CRITICAL", "opened_at": OPENED, "resolved_at": NOW,
        "breaches": 14, "audit_id": "aud_1", "record_id": "rec_1", "figures": figures, **changes,
    }  # fmt: skip


def payload(kind: str, **changes: Any) -> dict[str, Any]:
    if kind == "test":
        return compose_test("acme", "ann", "slack", "test_1", NOW)
    more = (
        {"previous_severity": "HIGH"} if kind == "worse" else {"by": "ann"} if kind == "acknowledged" else {}
    )
    return compose(kind, alert(**changes), NOW, **more)


@pytest.fixture
def places(
    make_settings: Callable[..., config.Settings],
) -> Iterator[tuple[Receiver, Mailbox]]:
    """A listener for HTTP and a mail server, that the settings name."""
    with running_receiver() as http, running_mailbox() as mailbox:
        make_settings(
            PUBLIC_URL="https://fairlens.example/", WEBHOOK_ALLOW_PRIVATE="true",
            WEBHOOK_URL=http.url, WEBHOOK_SECRET="a secret of the receiver", ALERT_SLACK_URL=http.url,
            ALERT_PAGERDUTY_KEY=KEY, ALERT_PAGERDUTY_URL=f"http://127.0.0.1:{http.port}",
            ALERT_EMAIL_TO="ann@example.org, bob@example.org", SMTP_HOST="localhost", SMTP_PORT=str(mailbox.port),
            SMTP_SECURITY="none", SMTP_FROM="fairlens@example.org",
        )  # fmt: skip
        yield http, mailbox


def said_by(name: str, places: tuple[Receiver, Mailbox], facts: Mapping[str, Any]) -> str:
    """What a receiver of this channel got, as one text without escapes, after it was checked."""
    http, mailbox = places
    http.script(202 if name == "pagerduty" else 200)
    target = CHANNELS[name].default_target(config.current())
    assert target is not None
    delivery = CHANNELS[name].deliver(target, facts, "m-1", NOW)
    assert delivery.delivered, delivery
    if name == "email":
        mail = mailbox.mails[-1]
        plain = mail.get_body(("plain",))
        assert plain is not None
        return f"{mail['Subject']}\n{plain.get_content()}"
    body = http.received[-1].body
    if name == "slack":
        check_slack(body)
    if name == "pagerduty":
        PagerDuty(KEY).take(body)
    return json.dumps(json.loads(body), ensure_ascii=False)


@pytest.mark.parametrize("kind", ["opened", "reopened", "worse", "reminder", "silence_over"])
@pytest.mark.parametrize("name", CHANNELS)
def test_every_message_says_what_a_person_needs(
    name: str, kind: str, places: tuple[Receiver, Mailbox]
) -> None:
    """Model, version, groups, value, interval, limit, since when, what to do, a link, the alert's and the message's id."""
    said = said_by(name, places, payload(kind))
    for wanted in ("loan_model", "v2", "gender", "Female", "Male", "0.5", "0.362", "0.688", "0.8", "2026-01-02", "alr_1", "rec_1"):  # fmt: skip
        assert wanted in said, wanted
    assert "Do not let this model decide alone" in said
    assert "https://fairlens.example/v1/alerts/alr_1" in said
    assert name == "email" or "m-1" in said


@pytest.mark.parametrize("kind", [*KINDS, "test"])
@pytest.mark.parametrize("name", CHANNELS)
def test_each_turn_is_taken_by_a_real_listener(
    name: str, kind: str, places: tuple[Receiver, Mailbox]
) -> None:
    """Whatever a channel hears, its receiver's published schema takes; mail is not sent for an acknowledgement."""
    if kind in CHANNELS[name].hears:
        said_by(name, places, payload(kind))
    else:
        assert (name, kind) == ("email", "acknowledged")


@pytest.mark.parametrize("name", CHANNELS)
def test_names_from_users_data_give_no_orders(name: str, places: tuple[Receiver, Mailbox]) -> None:
    """Mentions, links, markup, line ends, NUL and marks that turn the writing: shown as text, in any place of a name."""
    figures = {**alert()["figures"], "groups_compared": [EVIL, "Male"], "sample_sizes": {EVIL: 5, "Male": 7}, "sentence": EVIL}  # fmt: skip
    facts = payload("opened", model=EVIL, attribute=EVIL, model_version=EVIL, figures=figures)
    said_by(name, places, facts)
    _, mailbox = places
    for mail in mailbox.mails:
        assert "Bcc" not in mail and "\n" not in str(mail["Subject"])
        html = mail.get_body(("html",))
        assert (
            html is not None
            and "<!channel>" not in html.get_content()
            and "&lt;!channel&gt;" in html.get_content()
        )
    assert mailbox.envelopes in ([], [("fairlens@example.org", ["ann@example.org", "bob@example.org"])])


@pytest.mark.parametrize("name", CHANNELS)
def test_names_of_any_length_stay_within_the_limits(name: str, places: tuple[Receiver, Mailbox]) -> None:
    """Names of 5,000 characters that each need an escape, a reason of 10,000."""
    long = "&" * 5000
    figures = {
        **alert()["figures"],
        "groups_compared": [long, long + "2"],
        "sample_sizes": {long: 5},
        "sentence": long,
    }
    facts = {**payload("worse", model=long, attribute=long, model_version=long, figures=figures), "reason": "<" * 10_000}  # fmt: skip
    said_by(name, places, facts)


@pytest.mark.parametrize(
    ("status", "outcome"), [(500, "retry"), (429, "retry"), (404, "failed"), (410, "failed"), (400, "failed")]
)
@pytest.mark.parametrize("name", ["slack", "pagerduty", "webhook"])
def test_what_an_answer_means(name: str, status: int, outcome: str, places: tuple[Receiver, Mailbox]) -> None:
    """5xx and 429 may succeed later, with Retry-After; the rest will not."""
    places[0].script((status, {"Retry-After": "77"}))
    target = CHANNELS[name].default_target(config.current())
    assert target is not None
    delivery = CHANNELS[name].deliver(target, payload("opened"), "m-1", NOW)
    assert (delivery.outcome, delivery.status_code) == (outcome, status)
    assert delivery.retry_after_s == (77 if outcome == "retry" else None)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [(b"ok", "delivered"), (b"", "delivered"), (b'{"status": "success", "message": "Event processed"}', "delivered"),
     (b"<!doctype html><title>Log in</title>", "retry"), (b'{"ok": false, "error": "no_service"}', "retry"),
     (b'{"status": "invalid event", "errors": ["payload"]}', "retry"), (b"[1]", "delivered"),
     (b'{"status": "ok", "error": null, "errors": []}', "delivered"), (b'{"success": false}', "retry")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["slack", "pagerduty"])
def test_a_200_that_denies_is_no_delivery(
    name: str, body: bytes, outcome: str, places: tuple[Receiver, Mailbox]
) -> None:
    """A proxy's page and an error in the body are not what the vendor says to a message that it took; it is tried again."""
    places[0].script(200)
    places[0].body = body
    target = CHANNELS[name].default_target(config.current())
    assert target is not None
    delivery = CHANNELS[name].deliver(target, payload("opened"), "m-1", NOW)
    assert (delivery.outcome, delivery.status_code) == (outcome, 200)


def test_pagerduty_keeps_one_incident_an_alert(places: tuple[Receiver, Mailbox]) -> None:
    """Trigger, trigger, acknowledge, resolve, trigger: one dedup_key; severities map to the vendor's four."""
    service = PagerDuty(KEY)
    for kind in ("opened", "worse", "acknowledged", "resolved", "reopened"):
        said_by("pagerduty", places, payload(kind))
        service.take(places[0].received[-1].body)
    assert service.incidents == {
        "fairlens-alr_1": ["trigger", "trigger", "acknowledge", "resolve", "trigger"]
    }
    for severity, wanted in (("CRITICAL", "critical"), ("HIGH", "error"), ("MEDIUM", "warning")):
        said_by("pagerduty", places, payload("opened", severity=severity))
        assert service.take(places[0].received[-1].body)["payload"]["severity"] == wanted
    assert {one.path for one in places[0].received} == {"/v2/enqueue"}


def test_a_test_leaves_no_incident_open(places: tuple[Receiver, Mailbox]) -> None:
    """PagerDuty gets a trigger of severity info and at once its end."""
    said_by("pagerduty", places, payload("test"))
    service = PagerDuty(KEY)
    events = [service.take(one.body) for one in places[0].received]
    assert service.incidents == {"fairlens-test_1": ["trigger", "resolve"]}
    assert events[0]["payload"]["severity"] == "info"


def test_a_mail_has_both_forms_and_belongs_to_its_conversation(places: tuple[Receiver, Mailbox]) -> None:
    """Text and HTML, Date of the clock passed in, an id that follows from the message's, one thread an alert."""
    said_by("email", places, payload("opened"))
    mail = places[1].mails[-1]
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail["Date"] == "Fri, 02 Jan 2026 06:24:05 +0000"
    assert mail["Message-ID"] == "<m-1@example.org>" and mail["References"] == "<alr_1@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated" and mail["X-FairLens-Delivery"] == "m-1"
    assert mail["Subject"] == "[FairLens] CRITICAL: loan_model breaches a fairness limit on gender"
    assert all(len(line) <= 998 for line in places[1].raw[-1].splitlines())


def test_a_route_may_have_a_mail_server_of_its_own(
    places: tuple[Receiver, Mailbox], make_settings: Callable[..., config.Settings]
) -> None:
    """Its mail goes there, from its own sender; where private addresses are not allowed it is refused."""
    own = {"host": "localhost", "port": places[1].port, "security": "none", "username": "", "password": "", "sender": "own@example.org"}  # fmt: skip
    target = {"to": ["cy@example.org"], "smtp": own}
    assert CHANNELS["email"].deliver(target, payload("opened"), "m-1", NOW).delivered
    assert places[1].envelopes == [("own@example.org", ["cy@example.org"])]
    make_settings()
    said = CHANNELS["email"].deliver(target, payload("opened"), "m-1", NOW)
    assert said.outcome == "failed" and "not a public address" in said.reason
    nobody = CHANNELS["email"].deliver({"to": ["cy@example.org"]}, payload("opened"), "m-1", NOW)
    assert nobody.outcome == "failed" and "SMTP_HOST" in nobody.reason


@pytest.mark.parametrize(("answer", "outcome"), [("451 later", "retry"), ("554 no", "failed")])
def test_what_a_mail_server_says(answer: str, outcome: str, places: tuple[Receiver, Mailbox]) -> None:
    """4xx may succeed later, 5xx will not, nobody there may come back."""
    places[1].answers = [answer]
    target = CHANNELS["email"].default_target(config.current())
    assert target is not None
    said = CHANNELS["email"].deliver(target, payload("opened"), "m-1", NOW)
    assert (said.outcome, said.status_code) == (outcome, int(answer[:3]))


def test_a_sender_may_have_a_name(places: tuple[Receiver, Mailbox]) -> None:
    """SMTP_FROM as people write it: the name in the header, the address alone in the envelope."""
    environ = {name.upper(): str(value) for name, value in vars(config.current()).items()}
    config.use(config.load_settings({**environ, "SMTP_FROM": "FairLens Alerts <fairlens@example.org>"}))
    said_by("email", places, payload("opened"))
    assert places[1].envelopes[0][0] == "fairlens@example.org"
    assert places[1].mails[0]["From"] == "FairLens Alerts <fairlens@example.org>"
    assert places[1].mails[0]["Message-ID"] == "<m-1@example.org>"


def test_words_of_each_turn(settings: config.Settings) -> None:
    """The headline says at once what kind of message it is, with times by hand: 03:04 to 06:24 is 3 h 20 min."""
    assert [tell(payload(kind)).headline for kind in (*KINDS, "test")] == [
        "CRITICAL: loan_model breaches a fairness limit on gender",
        "CRITICAL, open again: loan_model breaches a fairness limit on gender",
        "CRITICAL, worse (was HIGH): loan_model breaches a fairness limit on gender",
        "CRITICAL, still open after 3 h 20 min: loan_model breaches a fairness limit on gender",
        "CRITICAL, silence over and still open: loan_model breaches a fairness limit on gender",
        "Taken by ann: CRITICAL, loan_model on gender",
        "All clear after 3 h 20 min: loan_model on gender",
        "Test: FairLens reaches you by slack",
    ]
    facts = dict(tell(payload("reminder")).facts)
    assert facts == {
        "Model": "loan_model, version v2",
        "Groups": "Female (500 decisions) compared with Male (480 decisions), of gender",
        "Value": "disparate impact ratio 0.500 (95% interval 0.362 to 0.688); the limit is at least 0.8",
        "Audit": "980 decisions, audited 2026-01-02 06:00 UTC",
        "Since": "2026-01-02 03:04 UTC (3 h 20 min, 14 breaches)",
    }
    window = {**alert()["figures"], "window_start": "2026-01-02T05:00:00.000000Z", "sample_size": 12_000}
    assert dict(tell(payload("reminder", figures=window)).facts)["Audit"] == (
        "12,000 decisions from 2026-01-02 05:00 to 2026-01-02 06:00 UTC"
    )
    by_hand = compose("resolved", alert(), NOW, by="ann", reason="went back")
    assert tell(by_hand).headline == "Closed by ann: loan_model, gender"
    assert tell(by_hand).steps[0] == "A person closed it, not the figures: the next breach opens it again."
    assert (
        dict(tell(by_hand).facts)["Since"] == "2026-01-02 03:04 UTC until 2026-01-02 06:24 UTC (3 h 20 min)"
    )
    assert "closed by a person" in tell(by_hand).footer and "all-clear" in tell(payload("resolved")).footer


def test_without_a_public_address_there_is_no_link(settings: config.Settings) -> None:
    """The path stands in the facts; no channel makes a link of it."""
    told = tell(payload("opened"))
    assert told.link is None and payload("opened")["url"] == "/v1/alerts/alr_1"
    mail = compose_mail(payload("opened"), "m-1", "a@example.org", ["b@example.org"], NOW)
    assert "http" not in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_every_file_of_the_family_is_a_channel() -> None:
    """Four names, and each says what of a target may be shown."""
    assert set(CHANNELS) == {"slack", "pagerduty", "email", "webhook"} == set(config.CHANNEL_NEEDS)
    secret = {"url": "https://hooks.slack.com/services/T0/B0/secretsecret", "secret": "sss", "routing_key": KEY, "to": ["a@b.c"]}  # fmt: skip
    shown = {name: channel.shown(secret) for name, channel in CHANNELS.items()}
    assert shown == {
        "slack": "hooks.slack.com",
        "pagerduty": "a PagerDuty service",
        "email": "a@b.c",
        "webhook": "hooks.slack.com",
    }
    assert alert_messages.cut("abc", 3) == "abc" and alert_messages.cut("abcd", 3) == "ab…"
