"""FairLens: watches the decisions of deployed models and says, with evidence, when they become unfair."""

__version__ = "0.1.0"
