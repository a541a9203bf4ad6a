"""A second verifier of evidence bundles, written from `docs/evidence-format.md` alone: it shows that the page is enough.

It imports nothing of the server, does not look at attestations, and of the metrics computes two: the demographic parity difference and the disparate impact ratio.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Json = dict[str, Any]
FAULTS = (
    ArithmeticError,
    AttributeError,
    InvalidSignature,
    rfc8785.CanonicalizationError,
    LookupError,
    StopIteration,
    TypeError,
    ValueError,
)


def need(holds: bool, what: str) -> None:
    """Stop at the first thing that does not hold."""
    if not holds:
        raise ValueError(what)


def sha(*parts: bytes) -> bytes:
    """H of the joined parts."""
    return hashlib.sha256(b"".join(parts)).digest()


def add(tiles: list[tuple[int, bytes]], height: int, node: bytes) -> int:
    """A complete subtree more at the right end; how many entries there are then."""
    while tiles and tiles[-1][0] == height:
        height, node = height + 1, sha(b"\1", tiles.pop()[1], node)
    tiles.append((height, node))
    return sum(1 << height for height, _ in tiles)


def signs(key: str, note: str) -> bool:
    """Whether the note has a signature of the key; one that claims to be and is not is an error (sections 3 and 4)."""
    (name, key_id, public), (text, signatures) = key.split("+", 2), note.split("\n\n")
    raw = base64.b64decode(public)
    need(raw[0] == 1 and sha(name.encode(), b"\n", raw)[:4].hex() == key_id, "the key's id")
    blobs = [
        base64.b64decode(line.split(" ")[2])
        for line in signatures.split("\n")
        if line.startswith(f"— {name} ")
    ]
    for blob in (ours := [blob for blob in blobs if blob[:4].hex() == key_id]):
        Ed25519PublicKey.from_public_bytes(raw[1:]).verify(blob[4:], f"{text}\n".encode())
    return bool(ours)


def spelled_out(body: Json) -> Json:
    """The body of an entry of version 2 as version 1 says it, as far as it is looked at here (section 5)."""
    counts, figures = body["counts"], body["figures"]
    cells = [
        (g, d, t, b) for g in counts["groups"] for d in (0, 1) for t in (0, 1, 2) for b in counts["bins"]
    ]
    rows = [[*cell, int(n)] for cell, n in zip(cells, counts["n"].split(), strict=True)]
    names, values, stated = figures["names"], map(int, figures["value"].split()), []
    for attribute, metric, _, has_value, _ in zip(*figures["measured"], strict=True):
        value = next(values) / 10**12 if has_value else None
        stated.append({"attribute": names[attribute], "metric": names[metric], "value": value})
    need(next(values, None) is None, "a value of no figure")
    return {**body, "counts": {"attributes": counts["attributes"], "rows": rows}, "figures": stated}


def expected(metric: str, attribute: str, body: Json) -> float | None:
    """What a figure of selection rates must be (section 5)."""
    at, least = body["counts"]["attributes"].index(attribute), body["settings"]["policy"]["min_group_size"]
    cells = [(row[0][at], row[1], row[4]) for row in body["counts"]["rows"] if row[0][at] != "unknown"]
    size = {group: sum(n for g, _, n in cells if g == group) for group, *_ in cells}
    rate = {group: sum(n for g, d, n in cells if g == group and d) / size[group] for group in size}
    likely, large = list(size), {g: rate[g] for g in size if size[g] >= least}
    for enough in (0.02 * body["sample_size"], least):
        likely = [g for g in likely if size[g] >= enough] or likely
    likely.sort(key=lambda g: (-rate[g], -size[g], g))
    r = body["settings"]["reference_groups"].get(attribute, *likely[:1])
    if len(large) < 2 or metric == "demographic_parity_difference":
        return max(large.values()) - min(large.values()) if len(large) > 1 else None
    return min(large[g] for g in large if g != r) / rate[r] if large.get(r) else None


def check_audit(body: Json) -> None:
    """Check 6 of an audit: the sizes, and the figures of selection rates."""
    if body["counts"] is None:
        return
    sizes = [sum(row[4] for row in body["counts"]["rows"] if row[2] < beyond) for beyond in (3, 2)]
    need(sizes == [body["sample_size"], body["labelled_size"]], "the sizes are not those of the counts")
    stated = {(one["attribute"], one["metric"]): one["value"] for one in body["figures"]}
    for name in body["settings"]["protected_attributes"]:
        for metric in ("demographic_parity_difference", "disparate_impact_ratio"):
            said, true = stated[name, metric], expected(metric, name, body)
            near = None not in (said, true) and abs(said - true) <= 1e-12 * max(1.0, said)
            need(near or said is true is None, f"{metric} of {name}: {said}, not {true}")


def check_chain(header: Json, entries: list[Json], size: int) -> None:
    """Checks 4 and 5: all audits of the range are there, and the ledger says how many were handed out."""
    ours = [
        e for e in entries if e["tenant"] == header["tenant"] and e["body"].get("model") == header["model"]
    ]
    audits = [e for e in ours if e["type"] == "AUDIT_COMPLETED"]
    links = [(e["body"]["model_audit_number"], e["body"]["previous_audit_index"]) for e in audits]
    for one in audits:
        check_audit(one["body"] if one["version"] == 1 else spelled_out(one["body"]))
    since, until, last = header["since"], header["until"], (audits or [{"time": "", "index": None}])[-1]
    need(not links or links[0] == (1, None) or audits[0]["time"] < since, "the first audits are left out")
    for (number, _), one, link in zip(links, audits, links[1:], strict=False):
        need(link == (number + 1, one["index"]), f"an audit is left out after entry {one['index']}")
        need(one["time"] < until, "two audits after the range")
    told = [e["body"] for e in ours if e["type"] == "EVIDENCE_EXPORTED" and e["index"] == size - 1]
    told = [b for b in told if b["since"] == since and b["until"] == until]
    told = [b for b in told if b["audits"] == sum(since <= e["time"] < until for e in audits)]
    need(
        any(last["time"] >= until or b["last_audit_index"] == last["index"] for b in told),
        "the export's entry",
    )


def check(lines: Iterable[bytes], key: str) -> None:
    """All lines in their order: checks 1 to 3, and then those of what the entries say (section 7)."""
    above, entries, times, coming, size, covered, ended = hashlib.sha256(), [], [], [], 0, 0, False
    tiles: list[tuple[int, bytes]] = []
    header: Json = {}
    version = 0
    keys = {key: float("inf")}  # of each trusted key the largest head that it signs
    for number, line in enumerate(lines):
        need(line.endswith(b"\n") and not ended, "a line is cut off, or stands after the end")
        match json.loads(line.decode()):
            case {
                "fairlens_evidence": 1 | 2 as version,
                "origin": origin,
                "tenant": _,
                "model": _,
            } as header if number == 0:
                need(origin == key.partition("+")[0], "the key is of another ledger")
            case {"hash": _, "leaf": entry} if number > 0:
                digest = sha(b"\0", line[82:-2])
                bytes_fit = line == b'{"hash":"%b","leaf":%b}\n' % (digest.hex().encode(), line[82:-2])
                need(bytes_fit, f"entry {size}: its hash")
                versions = (1, 2) if entry["type"] == "AUDIT_COMPLETED" else (1,)
                known = entry["index"] == size and entry["version"] in versions
                need(known, f"entry {size}: its index or version")
                need(rfc8785.dumps(entry) == line[82:-2], f"entry {size}: not canonical")
                size = add(tiles, 0, digest)
                entries.append(entry)
                times.append(entry["time"])
                if entry["type"] == "KEY_ROTATED" and entry["body"]["key"] == "ledger":
                    coming.append((entry["body"]["verifier_key"], size))
            case {"hidden": {"end": end, "hashes": [*hashes]}} if number > 0:
                for one in hashes:
                    tops = [
                        k for k in range(end.bit_length()) if size % (1 << k) == 0 and size + (1 << k) <= end
                    ]
                    size = add(tiles, tops[-1], bytes.fromhex(one))
                need(size == end, f"the hidden stretch does not end at {end}")
            case {"head": note, "attestations": [*_]} if number > 0:
                root = tiles[-1][1]
                for _, node in tiles[-2::-1]:
                    root = sha(b"\1", node, root)
                times.append(note.split("\n")[3].removeprefix("time "))
                true = [origin, str(size), base64.b64encode(root).decode(), f"time {times[-1]}", ""]
                need(note.split("\n")[:5] == true and note.endswith("\n"), f"the head of {size} entries")
                by = [one for one in keys if signs(one, note)]
                need(
                    any(size <= keys[one] for one in by),
                    f"the head of {size} entries: signed by no trusted key",
                )
                for new, last in coming:
                    keys = {one: min(last, largest) for one, largest in keys.items()} | {new: float("inf")}
                covered, coming = size, []
            case {"end": end} if number > 0:
                ended = end == {"lines": number, "sha256": above.hexdigest()}
                need(ended, "the end line")
            case _:
                need(False, "a line of no known kind")
        above.update(line if version == 1 or not line.startswith(b'{"hash"') else b"")
    spelled = {time.translate(str.maketrans("123456789", "0" * 9)) for time in times}
    need(
        times == sorted(times) and spelled == {"0000-00-00T00:00:00.000000Z"},
        "a time is dated back, or misspelt",
    )
    need(ended and size == covered, "cut off, or no head covers the last entry")
    check_chain(header, entries, size)


def verify(lines: Iterable[bytes], key: str) -> str | None:
    """None when everything is right, else the first thing that is wrong."""
    try:
        check(lines, key)
    except FAULTS as fault:
        return str(fault) or type(fault).__name__
    return None
