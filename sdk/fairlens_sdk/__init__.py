"""FairLens beside a model: `FairLensClient` reports decisions, in the background, without ever holding the model up."""

from fairlens_sdk._plain import NotPlain
from fairlens_sdk._stats import Stats
from fairlens_sdk._transport import Answer, HttpTransport, Transport, TransportError
from fairlens_sdk.client import FairLensClient

__all__ = ["Answer", "FairLensClient", "HttpTransport", "NotPlain", "Stats", "Transport", "TransportError"]
__version__ = "0.1.0"
