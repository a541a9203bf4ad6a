"""Reads audits of version 2 by their spelling: what two of a kind have in common is compared as bytes, the rest alone is read.

A line that is spelled so is canonical JSON, and says what its parts say: strings have no escapes, integers no zeros before them,
and the other parts are equal to some that were read as JSON before. Whatever is spelled otherwise is for who reads JSON.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.core.merkle import HASH_BYTES
from fairlens_backend.verifier.bodies import ShortBody

Column = Sequence[bytes]
_LEAST_PLAIN: Final = 0x20
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
    """The parts of audits' lines that are read, a column each: texts without their quotes, numbers, and JSON as it stands.

    Parameters
    ----------
    stated : the entries' hashes, as they stand beside them
    of_counts, of_figures, settings, words : what says of which kind they are, with the keys between
    at : their indexes
    """

    stated: Column
    of_counts: Column
    n: Column
    of_figures: Column
    rest: Column
    signed: Column
    value: Column
    words: Column
    labelled_size: Column
    number: Column
    previous: Column
    sample_size: Column
    settings: Column
    at: Column
    time: Column


def line_pattern(tenant: str, model: str) -> re.Pattern[bytes]:
    """What matches the line of an audit of this model, its newline included, where it `is_plain`; its groups are the columns of `Spelt`."""
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


def is_plain(lines: bytes, count: int) -> bool:
    """Whether in so many lines of JSON each string stands for itself: UTF-8, no escapes, no control characters but the newlines.

    Examples
    --------
    >>> is_plain('"é"\\n'.encode(), 1), is_plain(b'"\\\\u00e9"\\n', 1), is_plain(b'"\\t"\\n', 1), is_plain(b'"\\xe9"\\n', 1)
    (True, False, False, False)
    """
    codes = np.frombuffer(lines, dtype=np.uint8)
    if b"\\" in lines or np.count_nonzero(codes < _LEAST_PLAIN) != count:
        return False
    try:
        return lines.isascii() or bool(lines.decode())
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
