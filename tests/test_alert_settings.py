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
    ],
)  # fmt: skip
def test_what_is_not_whole_stops_the_start(given: dict[str, str], says: str) -> None:
    """The sentence names the setting that is missing."""
    with pytest.raises(ConfigurationError) as refused:
        load(**given)
    assert says in refused.value.message


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
