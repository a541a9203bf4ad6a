"""CSV files as people upload them: what is read, and what each refusal says."""

import gzip
import io

import pandas as pd
import pytest

from fairlens_backend.errors import InvalidInput, MalformedInput, TooLarge, UnsupportedMedia
from fairlens_backend.uploaded_files import CsvFile

PLAIN = "sex,score,outcome\nFemale,0.5,yes\nMale,0.75,no\n"


def opened(content: bytes | str, **options) -> CsvFile:
    """A CSV file of this content."""
    raw = content.encode() if isinstance(content, str) else content
    return CsvFile(io.BytesIO(raw), **{"max_bytes": 10_000_000, **options})


def rows(file: CsvFile, *columns: str) -> list[list[object]]:
    """All rows of these columns as text."""
    return pd.concat(list(file.texts(columns))).to_numpy().tolist()


def test_columns_come_by_name_in_the_order_asked():
    """The caller's order, not the file's; values as they stand in the file."""
    frame = next(iter(opened(PLAIN).texts(["outcome", "sex"])))
    assert frame["outcome"].tolist() == ["yes", "no"]
    assert frame["sex"].tolist() == ["Female", "Male"]


@pytest.mark.parametrize(
    "raw",
    [
        gzip.compress(PLAIN.encode(), mtime=0),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
    ],
)
def test_gzip_byte_order_marks_and_line_ends_make_no_difference(raw: bytes):
    """A gzip file, a UTF-8 file with BOM and one with Windows line ends read like the plain one."""
    assert opened(raw).header == ["sex", "score", "outcome"]
    assert rows(opened(raw), "sex") == [["Female"], ["Male"]]


def test_latin_1_is_refused_until_it_is_named():
    """A byte that is not UTF-8 is named with the way out; with the encoding named the file is read."""
    raw = "région,ok\nÎle,1\n".encode("latin-1")
    with pytest.raises(MalformedInput, match='"encoding": "latin-1"'):
        opened(raw)
    assert rows(opened(raw, encoding="latin-1"), "région") == [["Île"]]


def test_a_byte_that_is_not_utf8_far_into_the_file_is_refused_too():
    """The header alone does not prove the encoding."""
    with pytest.raises(MalformedInput, match="not utf-8"):
        list(opened(b"name,ok\n" + b"a,1\n" * 600_000 + "é,1\n".encode("latin-1")).texts(["name"]))


def test_a_repeated_column_is_refused_only_when_it_is_asked_for():
    """Real files repeat columns that nobody needs (COMPAS repeats two)."""
    file = opened("sex,score,score\nF,1,2\n")
    assert rows(file, "sex") == [["F"]]
    with pytest.raises(InvalidInput, match="'score' stands 2 times") as refused:
        list(file.texts(["score"]))
    assert refused.value.details["field"] == "columns"


def test_a_missing_column_is_named_with_those_there_are():
    """The message has what was asked for and what could have been."""
    with pytest.raises(InvalidInput, match=r"no column 'gender'; there are \['sex', 'score', 'outcome'\]"):
        list(opened(PLAIN).texts(["gender"]))


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"PK\x03\x04....", "Excel"),
        (b"PAR1....", "Parquet"),
        (b"\x80\x04\x95....", "pickle"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_other_kinds_of_file_are_refused_by_their_first_bytes(raw: bytes, kind: str):
    """Whatever the file is called."""
    with pytest.raises(UnsupportedMedia, match=kind):
        opened(raw)


@pytest.mark.parametrize("raw", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(raw: bytes):
    """There is no header."""
    with pytest.raises(MalformedInput, match="empty"):
        opened(raw)


def test_a_line_with_too_many_values_is_named_by_its_number():
    """The parser's own words, without the data it quotes."""
    with pytest.raises(MalformedInput, match="Expected 2 fields in line 3, saw 3"):
        list(opened("a,b\n1,2\n1,2,secret\n").texts(["a"]))


def test_a_gzip_file_that_is_cut_short_is_refused():
    """Half a file is not a smaller file."""
    raw = gzip.compress(("a,b\n" + "1,2\n" * 100_000).encode())
    with pytest.raises(MalformedInput, match="cut short"):
        list(opened(raw[: len(raw) // 2]).texts(["a"]))


def test_a_gzip_bomb_stops_at_the_bound():
    """A megabyte of zeros from a kilobyte is refused once the bound is passed, not once it is unfolded."""
    raw = gzip.compress(b"a,b\n" + b"0,0\n" * 500_000)
    with pytest.raises(TooLarge, match="MAX_UPLOAD_BYTES"):
        list(opened(raw, max_bytes=100_000).texts(["a"]))


def test_a_gzip_bomb_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch):
    """Parsing is what costs: 2 MB that unfold to 2 GB of rows must not hold a thread until the bound is met."""
    raw = gzip.compress(b"a,b\n" + b"0,0\n" * 500_000)
    monkeypatch.setattr(pd, "read_csv", lambda *args, **options: pytest.fail("the file was parsed"))
    with pytest.raises(TooLarge):
        opened(raw, max_bytes=1_000_000)
    with pytest.raises(MalformedInput, match="damaged"):
        opened(raw[:-20])


def test_values_are_numbers_where_they_are_numbers():
    """For a model's features: numbers as numbers, the declared marks as missing, "NA" as the text it is."""
    file = opened("age,state\n1,NA\n?,CA\n3,\n")
    frame = pd.concat(list(file.values(["age", "state"], ["?"])))
    assert frame["age"].tolist()[::2] == [1.0, 3.0] and frame["age"].isna().tolist() == [False, True, False]
    assert frame["state"].isna().tolist() == [False, False, True] and frame["state"].iloc[0] == "NA"
