"""The tables of the ledger of evidence."""
