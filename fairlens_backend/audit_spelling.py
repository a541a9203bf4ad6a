"""Reads audits of version 2 by their spelling: what two of a kind have in common is compared as bytes, the rest alone is read.

A line that is spelled so is canonical JSON, and says what its parts say: strings have no escapes, integers no zeros before them,
and the other parts are equal to some that were read as JSON before. Whatever is spelled otherwise is for who reads JSON.
"""

import re
from typing import Final, NamedTuple

import numpy as np

from fairlens_backend.audit_bodies import ShortBody
from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.core.merkle import HASH_BYTES

_LEAST_PLAIN: Final = 0x20
_NEWLINE: Final = 0x0A
_TEXT: Final = b'"[^"]*+"'
_TEXT_OR_NULL: Final = b'(?:"[^"]*+"|null)'
_INTEGER: Final = b"(0|[1-9][0-9]{0,14}+)"
"""of at most 15 digits, so that JSON keeps it exactly"""
_TIME: Final = rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]\.[0-9]{6}Z)"
_LINE: Final = (
    rb'\{"hash":"([^"]{%(digits)d})","leaf":\{"body":\{"alert":(?:true|false),"audit_id":%(text)b,"audit_sha256":%(text)b,'
    rb'"audit_timestamp":%(text)b,"counts":\{("attributes":[^:]*+:[^:]*+:[^:]*+):"([^"]*+)","scores":%(text)b,"version":2\},'
    rb'"engine":%(text)b,"figures":\{("measured":[^:]*+:[^:]*+):"([^"]*+)","signed":"([^"]*+)","value":"([^"]*+)",'
    rb'"words":([^}]*+)\},"labelled_size":%(integer)b,"model":%(model)b,"model_audit_number":%(integer)b,'
    rb'"model_version":%(text_or_null)b,"overall_severity":%(text_or_null)b,"previous_audit_index":(null|0|[1-9][0-9]{0,14}+),'
    rb'"record_hash":%(text)b,"record_id":%(text)b,"sample_size":%(integer)b,"settings":([^}]*+\}\}[^}]*+\}[^}]*+\}),'
    rb'"window_end":%(text_or_null)b,"window_start":%(text_or_null)b\},"index":%(integer)b,"salt":%(text)b,'
    rb'"tenant":%(tenant)b,"time":"%(time)b","type":"AUDIT_COMPLETED","version":2\}\}\n'
)


class Spelt(NamedTuple):
    """The parts of an audit's line that are read: texts without their quotes, numbers, and JSON as it stands.

    Parameters
    ----------
    stated : the entry's hash, as it stands beside it
    at : its index
    of_counts, of_figures, settings, words : what says of which kind it is, with the keys between
    """

    stated: bytes
    of_counts: bytes
    n: bytes
    of_figures: bytes
    rest: bytes
    signed: bytes
    value: bytes
    words: bytes
    labelled_size: bytes
    number: bytes
    previous: bytes
    sample_size: bytes
    settings: bytes
    at: bytes
    time: bytes


def line_pattern(tenant: str, model: str) -> re.Pattern[bytes]:
    """What matches the line of an audit of this model, its newline included, in a block that `is_plain`; by the groups of `Spelt`."""
    said = {
        "digits": 2 * HASH_BYTES,
        "text": _TEXT,
        "text_or_null": _TEXT_OR_NULL,
        "integer": _INTEGER,
        "time": _TIME,
        "model": re.escape(canonical_json(model)),
        "tenant": re.escape(canonical_json(tenant)),
    }
    return re.compile(_LINE % {name.encode(): value for name, value in said.items()})


def is_plain(block: bytes) -> bool:
    """Whether in lines of JSON each string without a backslash stands for itself: UTF-8, no control characters but newlines.

    Examples
    --------
    >>> is_plain('"é"\\n'.encode()), is_plain(b'"\\t"'), is_plain(b'"\\xe9"')
    (True, False, False)
    """
    codes = np.frombuffer(block, dtype=np.uint8)
    if np.count_nonzero(codes < _LEAST_PLAIN) != np.count_nonzero(codes == _NEWLINE):
        return False
    try:
        return block.isascii() or bool(block.decode())
    except UnicodeDecodeError:
        return False


def spelling_of(body: ShortBody) -> tuple[bytes, bytes, bytes]:
    """`of_counts`, `of_figures` and `settings` of audits of the same kind."""
    counts, figures = body.counts, body.figures
    return (
        b'"attributes":%b,"bins":%b,"groups":%b,"n"' % (counts.attributes, counts.bins, counts.groups),
        b'"measured":%b,"names":%b,"rest"' % (figures.measured, figures.names),
        bytes(body.settings),
    )
