"""A channel of alerts that is chosen or half set up stops the start, in words; none pretends to be there."""

import pytest

from fairlens_backend import config
from fairlens_backend.alert_router import default_channels
from fairlens_backend.errors import ConfigurationError
from tests.conftest import TEST_SECRETS

MAIL = {"ALERT_EMAIL_TO": "a@example.org", "SMTP_HOST": "mail.example.org", "SMTP_FROM": "f@example.org"}
WEBHOOK = {"WEBHOOK_URL": "https://hooks.example/x", "WEBHOOK_SECRET": "a secret of the receiver"}


def load(**given: str) -> config.Settings:
    return config.load_settings({**TEST_SECRETS, "DATA_DIR": "unused", **given})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"ALERT_CHANNELS": "slack"}, "ALERT_CHANNELS has slack without ALERT_SLACK_URL"),
        ({"ALERT_CHANNELS": "pagerduty"}, "ALERT_CHANNELS has pagerduty without ALERT_PAGERDUTY_KEY"),
        ({"ALERT_CHANNELS": "webhook"}, "ALERT_CHANNELS has webhook without WEBHOOK_URL, WEBHOOK_SECRET"),
        ({"ALERT_CHANNELS": "email"}, "ALERT_CHANNELS has email without ALERT_EMAIL_TO, SMTP_HOST, SMTP_FROM"),
        ({"ALERT_CHANNELS": "fax"}, "ALERT_CHANNELS names fax; there are"),
        ({"WEBHOOK_URL": "https://x.example"}, "WEBHOOK_URL is set without WEBHOOK_SECRET. Make one with"),
        ({"WEBHOOK_SECRET": "a secret of the receiver"}, "WEBHOOK_SECRET is set without WEBHOOK_URL"),
        ({"ALERT_EMAIL_TO": "a@example.org"}, "ALERT_EMAIL_TO is set without SMTP_HOST, SMTP_FROM"),
        ({**MAIL, "SMTP_USERNAME": "u"}, "SMTP_USERNAME and SMTP_PASSWORD belong together"),
        ({**MAIL, "SMTP_USERNAME": "u", "SMTP_PASSWORD": "p", "SMTP_SECURITY": "none"}, "in the clear"),
        ({**MAIL, "ALERT_EMAIL_TO": "a@example.org, bob"}, "ALERT_EMAIL_TO has 'bob', an e-mail address"),
        ({**MAIL, "SMTP_FROM": "FairLens"}, "SMTP_FROM has 'FairLens', an e-mail address"),
        ({"SMTP_SECURITY": "ssl"}, "SMTP_SECURITY is 'ssl'"),
        ({"ALERT_SEVERITIES": "CRITICAL,LOUD"}, "ALERT_SEVERITIES names LOUD"),
        ({"ALERT_OPEN_BREACHES": "3"}, "ALERT_OPEN_BREACHES is 3 of ALERT_OPEN_WINDOWS 1"),
        ({"ALERT_CLOSING_MARGIN": "1"}, "ALERT_CLOSING_MARGIN is 1, less than 1"),
        ({**WEBHOOK, "ENVIRONMENT": "production"}, "WEBHOOK_URL is set without PUBLIC_URL"),
        ({"PUBLIC_URL": "fairlens.example"}, "PUBLIC_URL is 'fairlens.example'"),
        ({"ALERT_SLACK_URL": "hooks.slack.example/T0"}, "ALERT_SLACK_URL is no address of the form https://host/path"),
        ({"ALERT_SLACK_URL": "https://"}, "ALERT_SLACK_URL is no address"),
        ({"ALERT_SLACK_URL": "https://user:word@hooks.example/x"}, "ALERT_SLACK_URL is no address"),
        ({**WEBHOOK, "WEBHOOK_URL": "ftp://hooks.example/x"}, "WEBHOOK_URL is no address"),
        ({**WEBHOOK, "WEBHOOK_URL": "http://hooks.example/x", "PUBLIC_URL": "https://f.example", "ENVIRONMENT": "production"}, "WEBHOOK_URL is no address"),
        ({"ALERT_PAGERDUTY_KEY": "0" * 32, "ALERT_PAGERDUTY_URL": "events.pagerduty.com"}, "ALERT_PAGERDUTY_URL is no address"),
        ({"ALERT_PAGERDUTY_KEY": "0123"}, "ALERT_PAGERDUTY_KEY is not of 32 letters and digits"),
    ],
)  # fmt: skip
def test_what_is_not_whole_stops_the_start(given: dict[str, str], says: str) -> None:
    """The sentence names the setting that is missing."""
    with pytest.raises(ConfigurationError) as refused:
        load(**given)
    assert says in refused.value.message
    assert "T0" not in refused.value.message and "word@" not in refused.value.message


def test_addresses_of_every_form_start() -> None:
    """With a port, a path, a question; an IPv6 address; plain http outside production."""
    for url in (
        "https://hooks.example",
        "https://hooks.example:8443/a?b=c",
        "http://[::1]:80/x",
        "http://127.0.0.1:8/x",
    ):
        assert load(**{**WEBHOOK, "WEBHOOK_URL": url}).webhook_url == url


def test_the_channels_of_the_settings() -> None:
    """Without ALERT_CHANNELS all that are set up; with it those it names; without any none."""
    before = list(config._current)
    try:
        config.use(load())
        assert default_channels() == []
        config.use(load(**MAIL, **WEBHOOK))
        assert default_channels() == ["email", "webhook"]
        config.use(load(**MAIL, **WEBHOOK, ALERT_CHANNELS="webhook"))
        assert default_channels() == ["webhook"]
    finally:
        config._current[:] = before
