"""The contents of a PDF, which are settled only when the number of pages that every footer prints is too."""

from typing import Any

from reportlab.platypus.tableofcontents import TableOfContents

PAGE = "Page"
"""What the document notifies the contents with at the end of each page, beside the entries of sections."""


class Contents(TableOfContents):  # type: ignore[misc]
    """A table of contents that asks for one more pass while the last one came to other pages than its footers say.

    The entries alone do not tell: a line that moves onto a page after the last heading changes none of them.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.pages = 0
        self._counted = 0

    def beforeBuild(self) -> None:  # noqa: N802 (reportlab's name)
        """Print in this pass how many pages the one before had."""
        super().beforeBuild()
        self.pages = self._counted

    def notify(self, kind: str, stuff: Any) -> None:
        """Take an entry, or the number of a page that is done."""
        if kind == PAGE:
            self._counted = stuff
        else:
            super().notify(kind, stuff)

    def isSatisfied(self) -> bool:  # noqa: N802
        """Whether entries and number of pages are those that were printed."""
        return bool(super().isSatisfied()) and self._counted == self.pages
