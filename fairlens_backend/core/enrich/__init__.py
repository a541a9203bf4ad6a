"""What happens to an event before it is counted: groups made comparable, proxies, personal data replaced by tokens.

Members: `normalise` (words and codes of groups), `age_band` (ages and dates of birth), `gender_proxy`, `ethnicity_proxy` and
`income_bracket` (probabilities where an attribute is absent), `pii_tokens` (personal data), each imported by its own name.
Pure: keys and tables arrive as arguments.
"""
