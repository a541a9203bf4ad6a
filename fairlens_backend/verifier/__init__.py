"""Checks evidence from a file and a public key alone: pure, so that it gives everybody the same answer, with a server or without.

`bundle` reads a bundle line by line and says what is wrong; `runs` and `stretches` take many lines at a time where all is right, for
`bundle_file`. `lines`, `entries` and `bodies` are what the lines say, `heads` the signatures, `audits` the chain of a model's audits;
`stated_figures` and `stated_intervals` compute anew what audits state, over `kinds`, `spelling`, `numbers` and `tables` of many audits
at once.
"""
