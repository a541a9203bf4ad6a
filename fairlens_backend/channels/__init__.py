"""The family of channels that alerts go out by: one file a channel, one import a line."""

from fairlens_backend.channels import email, pagerduty, slack, webhook
from fairlens_backend.channels._channel import Channel

CHANNELS: dict[str, Channel] = {
    one.name: one for one in (slack.CHANNEL, pagerduty.CHANNEL, email.CHANNEL, webhook.CHANNEL)
}
"""By name."""

__all__ = ["CHANNELS", "Channel"]
