"""What every channel is: a name, what it is told, how it delivers a message to a target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fairlens_backend.config import Settings
from fairlens_backend.webhooks import Delivery

Target = Mapping[str, Any]

URGENT: Final = frozenset({"opened", "reopened", "worse", "reminder", "silence_over", "resolved", "test"})
EVERYTHING: Final = URGENT | {"acknowledged"}


@dataclass(frozen=True)
class Channel:
    """One way to tell people.

    Parameters
    ----------
    name : as routes and settings call it
    hears : kinds of messages that it is given
    keeps_state : whether the receiver keeps an incident of its own, which must be closed even in silence
    default_target : the target of the settings, None where they have none
    shown : what of a target may be shown to people: a host, recipients, never a secret
    deliver : (target, payload, message_id, now) to what came of it; a receiver's fault is a result, not an error
    """

    name: str
    hears: frozenset[str]
    keeps_state: bool
    default_target: Callable[[Settings], dict[str, Any] | None]
    shown: Callable[[Target], str]
    deliver: Callable[[Target, Mapping[str, Any], str, datetime], Delivery]
