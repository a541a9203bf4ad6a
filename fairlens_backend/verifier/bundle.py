"""Checks an evidence bundle with nothing but the public key: no server, no database, no network.

Line by line: every entry has its hash and its place, none is missing, doubled or dated back; every head is signed by a key
that is trusted and has the root of the entries before it; the model's audits follow each other without a gap; what each
states is what its counts give. It stops at the first thing that is wrong and says it in words.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

from fairlens_backend.core.signed_note import VerifierKey, is_time
from fairlens_backend.errors import InvalidInput
from fairlens_backend.verifier.audits import AuditChain
from fairlens_backend.verifier.entries import (
    AUDIT,
    EXPORT,
    KEY_ROTATED,
    Entry,
    Walk,
    read_about,
)
from fairlens_backend.verifier.heads import HeadCheck
from fairlens_backend.verifier.lines import (
    READ_VERSIONS,
    START,
    End,
    Head,
    Header,
    Hidden,
    Wrong,
    hashes_of,
    is_leaf,
    read_line,
    split_leaf,
)
from fairlens_backend.verifier.runs import Run
from fairlens_backend.verifier.stated_figures import FigureCheck
from fairlens_backend.verifier.verdict import Verdict, misplaced


def verify_bundle(
    lines: Iterable[bytes],
    keys: Sequence[VerifierKey],
    heads: HeadCheck | None = None,
    *,
    intervals: bool = False,
) -> Verdict:
    """Check a bundle, line by line. `bundle_file.verify_file` does the same by chunks, on every core.

    Parameters
    ----------
    lines : of the file, each with its newline
    keys : the ledger's public keys that are trusted; a key that they signed in is trusted after that
    heads : earlier heads, authorities' certificates and witnesses' keys that the reader has; None for none
    intervals : whether all that follows from the counts is recomputed (25 to 100 ms an audit), not only values: also
        intervals, p-values, statuses, severities and alerts

    Raises
    ------
    ConfigurationError : the bundle holds timestamps, certificates were given, and the package that reads them is missing
    """
    reading = Reading(heads or HeadCheck(), keys, intervals=intervals)
    return reading.verdict_of(lambda: reading.read(iter(lines)))


class Reading:
    """A bundle as far as it was read, line by line or run by run.

    Parameters
    ----------
    as `verify`
    """

    def __init__(self, heads: HeadCheck, keys: Sequence[VerifierKey], *, intervals: bool) -> None:
        self.verdict = Verdict()
        self.heads = heads
        self.keys = keys
        self.walk = Walk(self.heads)
        self.fold = self.walk.fold
        self.figures = FigureCheck(intervals=intervals)
        self._intervals = intervals
        self.chain: AuditChain | None = None
        self.lines = 0
        self._ended = False
        self._digest = sha256()
        self._covered = 0
        """entries below the last head"""

    def verdict_of(self, read: Callable[[], None]) -> Verdict:
        """The verdict after reading: the first thing that is wrong, or nothing.

        A figure counts as wrong at the head that covers its audit: before, it could be that of somebody else than the signer.
        """
        try:
            try:
                self.heads.trust(self.keys)
                read()
            except Wrong:
                self.figures.compare()
                self.figures.judge(self._covered)
                raise
        except Wrong as wrong:
            self.verdict.finding = wrong.message
        return self._finish()

    def read(self, lines: Iterator[bytes]) -> None:
        """Every line, until the first that is wrong."""
        for line in lines:
            self.line(line, lines)
        self.end()

    def line(self, line: bytes, rest: Iterator[bytes]) -> None:
        """The next line.

        Parameters
        ----------
        rest : the lines that follow, to say what became of one that is missing

        Raises
        ------
        Wrong : it is wrong, or does not belong there
        """
        self.lines += 1
        number = self.lines
        if not line.endswith(b"\n"):
            raise Wrong(f"The file is cut off: line {number} has no end.")
        if self._ended:
            raise Wrong(f"Line {number} stands after the end of the bundle.")
        content = line[:-1]
        if number == 1 and not content.startswith(START):
            raise Wrong("The file is no evidence bundle: it does not begin as one.")
        if content.endswith(b"\r"):
            raise Wrong("The file's line ends were changed, as by a mail program: ask for it again, as .gz.")
        if is_leaf(content):
            self._leaf(content, number, rest)
        else:
            self._ended = self._line(content, number, self._digest.digest())
        if self.of_every_line or not is_leaf(content):
            self._digest.update(line)

    @property
    def of_every_line(self) -> bool:
        """Whether the end's hash is of the entries' lines too."""
        header = self.verdict.header
        return header is not None and header.fairlens_evidence == 1

    def run(self, run: Run, lines: Callable[[], bytes]) -> bool:
        """Entries that were checked together; whether they fit what stands above. Where they do not, nothing is changed.

        Parameters
        ----------
        lines : gives their bytes, where these are needed
        """
        chain, walk = self.chain, self.walk
        if chain is None or self._ended or run.start != self.fold.size or run.first_time < walk.latest:
            return False
        if run.first is not None:
            try:
                chain.check(run.first)
            except Wrong:
                return False
        if run.last is not None:
            chain.passed(run.last, run.in_range)
        self.fold.add_tiles(run.end, run.tiles)
        walk.latest = run.last_time
        walk.unsigned += run.end - run.start
        self.lines += run.end - run.start
        self.verdict.entries += run.end - run.start
        self.heads.passed(self.fold)
        if self.of_every_line:
            self._digest.update(lines())
        return True

    def end(self) -> None:
        """There are no more lines.

        Raises
        ------
        Wrong : some are missing
        """
        if self.lines == 0:
            raise Wrong("The file is empty.")
        if not self._ended:
            raise Wrong(
                f"The file is cut off: after {self.lines} lines, entry {self.fold.size - 1}, its end is missing."
            )

    def _finish(self) -> Verdict:
        """The verdict, with what was counted on the way."""
        verdict = self.verdict
        verdict.audits = 0 if self.chain is None else self.chain.in_range
        verdict.figures, verdict.tree_size = self.figures.recomputed, self.fold.size
        verdict.root = self.fold.root().hex()
        verdict.heads, verdict.last_head_time = self.heads.seen, self.heads.last_time
        verdict.timestamps, verdict.cosignatures = self.heads.timestamps, self.heads.cosignatures
        verdict.not_checked = self.heads.not_checked()
        if self.figures.without_counts:
            verdict.not_checked.append(
                f"{self.figures.without_counts} audit(s) that were stored without counts, stating {self.figures.uncounted} figures"
            )
        if self.figures.of_rows:
            verdict.not_checked.append(
                f"{self.figures.of_rows} figures of samples of rows or of earlier audits, which no count table gives"
                + (
                    "; what follows from all figures together was computed with these as stated"
                    if self._intervals
                    else ""
                )
            )
        if self.figures.recomputed and not self._intervals:
            verdict.not_checked.append(
                "intervals, p-values, statuses, groups compared, severities and alerts: give --intervals, and they are computed anew too"
            )
        return verdict

    def _line(self, content: bytes, number: int, above: bytes) -> bool:
        read = read_line(content, number)
        if (number == 1) != isinstance(read, Header):
            raise Wrong(f"Line {number} was altered: a bundle begins once.")
        if isinstance(read, Header):
            self._header(read)
        elif isinstance(read, Hidden):
            self._hidden(read, number)
        elif isinstance(read, Head):
            self.walk.head(read, f"line {number}")
            self._covered = self.fold.size
            self.figures.judge(self._covered)
        elif isinstance(read, End):
            self._end(read, number, above)
            return True
        return False

    def _header(self, header: Header) -> None:
        if header.fairlens_evidence not in READ_VERSIONS:
            known = " and ".join(map(str, READ_VERSIONS))
            raise Wrong(
                f"The bundle is of version {header.fairlens_evidence}; this verifier reads versions {known}."
            )
        if not (is_time(header.since) and is_time(header.until)):
            raise Wrong("Line 1 was altered: since and until are not spelled as times are.")
        self.verdict.header = header
        self.heads.origin = header.origin
        self.chain = AuditChain(header, self.figures)

    def _hidden(self, hidden: Hidden, number: int) -> None:
        start = self.fold.size
        if hidden.end <= start:
            raise Wrong(
                f"Line {number} was altered: it hides entries up to {hidden.end - 1}, {start} comes next."
            )
        try:
            self.fold.add_tiles(hidden.end, hashes_of(hidden, number))
        except InvalidInput as error:
            raise Wrong(f"Line {number} was altered: {error.message}.") from error
        self.heads.passed(self.fold)
        self.verdict.hidden += hidden.end - start
        self.walk.unsigned += hidden.end - start

    def _leaf(self, content: bytes, number: int, rest: Iterator[bytes]) -> None:
        stated, leaf = split_leaf(content, number)
        entry = self.walk.entry(
            stated, leaf, f"line {number}", lambda index, expected: misplaced(index, expected, number, rest)
        )
        self.verdict.entries += 1
        assert self.chain is not None
        mine = entry.tenant == self.chain.header.tenant
        if mine and entry.type == AUDIT:
            self.chain.audit(entry)
        elif mine and entry.type == EXPORT and isinstance(entry, Entry):
            self.chain.export(entry)
        elif entry.type == KEY_ROTATED and isinstance(entry, Entry):
            about = read_about(entry.index, leaf)
            if about.key == "ledger" and about.verifier_key:
                self.heads.announce(str(about.verifier_key), self.fold.size)

    def _end(self, end: End, number: int, above: bytes) -> None:
        self.figures.compare()
        self.figures.judge(self._covered)
        if self.chain is None or self.chain.closed is None:
            raise Wrong("The bundle has no entry of its own export, so audits at its end may be left out.")
        if self.chain.closed != self.fold.size - 1:
            raise Wrong(
                f"Entries stand below that of this export ({self.chain.closed}): audits of the range may be left out among them."
            )
        if self.walk.unsigned:
            raise Wrong(f"The last {self.walk.unsigned} entries are covered by no signed head.")
        self.heads.finish(self.fold.size)
        if end.lines != number - 1 or end.sha256 != above.hex():
            raise Wrong(
                f"A line that no signature covers was altered: {number - 1} lines with the hash {above.hex()} stand above"
                f" the end, which says {end.lines} with {end.sha256}."
            )
