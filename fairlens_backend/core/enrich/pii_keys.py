"""What the name of a field says about its values: a person's name, a number of a kind, a mere identifier."""

import re
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PERSONS: Final = _words(
    "first last given family middle maiden full user contact applicant customer patient employee candidate borrower client"
    " person legal preferred display birth father mother spouse partner child manager holder owner guardian student member"
    " sender recipient caller insured claimant tenant co your my real second christian nick author attorney doctor"
)
_NAMES: Final = _words(
    "name names surname surnames forename forenames firstname lastname fullname middlename maidenname givenname familyname"
    " username nickname fname lname vorname nachname familienname nom prenom nombre apellido apellidos cognome initials"
)
_ALONE: Final = _words(
    "surname surnames forename forenames firstname lastname fullname middlename maidenname givenname familyname username"
    " nickname fname lname vorname nachname familienname prenom nombre apellido apellidos cognome"
)
_PHONES: Final = _words("phone telephone tel mobile cell cellphone fax msisdn whatsapp handy contact")
_IDENTIFIERS: Final = _words(
    "id ids uuid guid isbn sku ean upc asin ref reference order invoice tracking timestamp ts hash sha version checksum"
    " seq sequence amount price total balance income code lot serial"
)


def kind_of_key(key: str) -> str | None:
    """What a field's name says: "name", "phone", "ssn", "card", "ip", "email", "identifier", or None for nothing.

    Examples
    --------
    >>> [kind_of_key(key) for key in ("first_name", "lastName", "model_name", "cell phone", "orderId", "age")]
    ['name', 'name', None, 'phone', 'identifier', None]
    """
    words = [word.lower() for word in _WORD.findall(key)]
    if not words:
        return None
    last, before = words[-1], set(words[:-1])
    if last.isdigit() and len(words) > 1:
        last, before = words[-2], set(words[:-2])
    kind = None
    if last in _ALONE or (last in _NAMES and (not before or before & _PERSONS)):
        kind = "name"
    elif {"ssn", "itin"} & {*words} or {"social", "security"} <= {*words}:
        kind = "ssn"
    elif "pan" in words or ("card" in words and {"number", "no", "num"} & {*words}) or "creditcard" in words:
        kind = "card"
    elif last in ("email", "mail") or "email" in words:
        kind = "email"
    elif _PHONES & {*words}:
        kind = "phone"
    elif "ip" in words:
        kind = "ip"
    elif last in _IDENTIFIERS:
        kind = "identifier"
    return kind
