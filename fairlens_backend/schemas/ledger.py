"""What the ledger is asked with."""

from typing import Annotated, Literal

from pydantic import Field

from fairlens_backend.schemas._base import PATTERNS_IN_WORDS, Query

HASH_PATTERN = r"^[0-9a-f]{64}$"
PATTERNS_IN_WORDS[HASH_PATTERN] = "64 hexadecimal digits in lower case"

Index = Annotated[int, Field(ge=0, le=2**53 - 1)]


class HeadQuery(Query):
    """The newest head."""

    format: Literal["json", "note"] = Field("json", description="note: the signed checkpoint alone, as text")


class EntriesQuery(Query):
    """A stretch of the ledger."""

    start: Index = Field(0, description="index of the first entry")
    end: Index | None = Field(None, description="index after the last entry; left out: to the ledger's end")


class InclusionQuery(Query):
    """Which entry, in the tree of which size?"""

    index: Index | None = Field(None, description="of the entry")
    leaf_hash: Annotated[str, Field(pattern=HASH_PATTERN)] | None = Field(
        None, description="of the entry, in place of its index; slower"
    )
    tree_size: Index | None = Field(None, description="left out: that of the newest head")


class ConsistencyQuery(Query):
    """Is the tree of the first size the beginning of the one of the second?"""

    first: Index
    second: Index | None = Field(None, description="left out: that of the newest head")
