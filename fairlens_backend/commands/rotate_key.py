"""`fairlens rotate-key`: rotates keys on the server's database, while servers run or where none can start.

    fairlens rotate-key                        which keys there are, their ages, what older ones are still needed for
    fairlens rotate-key data|jwt|ledger        a new key; jwt --revoke ends every login
    fairlens rotate-key tokens --tenant NAME   a new key for a tenant's tokens of personal data
    fairlens rotate-key master                 with FERNET_KEY and FERNET_KEY_NEXT set: both open everything from now on
    fairlens rotate-key master --retire        with the new FERNET_KEY alone: the old one opens nothing any more
    fairlens rotate-key master --abandon       with the old FERNET_KEY alone: the new one opens nothing any more
    fairlens rotate-key master --lost          the master key is lost and FERNET_KEY is a new one: give up what it opened
    fairlens rotate-key data|tokens --retire   destroys older keys that nothing needs

Servers and workers do the work that follows in the background. Exit codes: 0 done; 2 not done, standard error says why.
"""

import argparse
from typing import Any

from fairlens_backend.commands._console import PASSED, write
from fairlens_backend.errors import InvalidInput

NAME = "rotate-key"
HELP = "rotate keys, retire older ones, go on after a loss"
KINDS = ("data", "jwt", "tokens", "ledger", "master")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("kind", nargs="?", choices=KINDS, help="left out: list the keys")
    add("--tenant", help="tokens: whose (default: default)")
    do = parser.add_mutually_exclusive_group()
    do.add_argument("--revoke", action="store_true", help="jwt: end every login now")
    do.add_argument("--retire", action="store_true", help="destroy older keys that nothing needs")
    do.add_argument("--abandon", action="store_true", help="master: take a change back that was begun")
    do.add_argument("--lost", action="store_true", help="master: it is lost; what it opened is given up")


def run(wanted: argparse.Namespace) -> int:
    from fairlens_backend import key_rotator, master_changer, server_health, telemetry

    server_health.require_schema()
    now = telemetry.utc_now()
    for option in ("abandon", "lost"):
        if getattr(wanted, option) and wanted.kind != "master":
            raise InvalidInput(f"--{option} is for master", field=f"--{option}")
        if getattr(wanted, option) and wanted.tenant is not None:
            raise InvalidInput(
                f"--{option} is for the master key, which is the server's: --tenant was not expected.",
                field="--tenant",
                got=wanted.tenant,
                expected="none",
            )
    if wanted.kind is None:
        if wanted.tenant is not None or wanted.revoke or wanted.retire:
            raise InvalidInput("which key? One of " + ", ".join(KINDS), field="kind")
        return _list(now)
    if wanted.lost:
        found = master_changer.replace_lost("", now)
        told = ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in found.items())
        write(f"What the lost master key opened is given up. Destroyed or renewed: {told}.\n")
        return PASSED
    if wanted.abandon:
        write(
            f"The change is taken back: {master_changer.abandon('', now)} keys have their old wrapping alone.\n"
        )
        return PASSED
    tenant = key_rotator.require_may(wanted.kind, "default", wanted.tenant)
    if wanted.retire:
        done = key_rotator.retire(wanted.kind, tenant, "", now)
        write(f"{done['retired']} older keys ({wanted.kind}) are destroyed.\n")
        return PASSED
    done = key_rotator.rotate(wanted.kind, tenant, "", now, revoke=wanted.revoke)
    write(key_rotator.in_words(done) + "\n")
    return PASSED


def _list(now: Any) -> int:
    from fairlens_backend import key_reader

    lines = [f"{'key':8} {'version':>7} {'age, days':>10}  older ones"]
    for one in key_reader.show("default", now):
        age = "-" if one["age_days"] is None else f"{one['age_days']:.1f}"
        left = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in one["outstanding"].items() if n)
        older = ", ".join(str(version["version"]) for version in one["versions"][1:])
        state = f"{older or 'none'}{f', needed for {left}' if left else ''}"
        job = one["job"]
        done = f"; job {job['state']} {job['progress']:.0%}" if job and job["state"] != "done" else ""
        lines.append(f"{one['kind']:8} {one['version']:>7} {age:>10}  {state}{done}")
    write("\n".join(lines) + "\n")
    return PASSED
