#!/usr/bin/env bash
# Makes a virtual environment and installs one locked set into it; does nothing when that set is there already.
#   tools/install.sh runtime|dev [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."

set_name=${1:?"which set? runtime or dev"}
venv=${2:-.venv}
case $set_name in
    runtime) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "tools/install.sh: unknown set '$set_name'; there are runtime and dev" >&2; exit 2 ;;
esac
stamp=$venv/.installed-$set_name

fail() { printf 'FairLens: %s\n' "$1" >&2; exit 1; }

# The command `fairlens`, as the installed package has it, for the code of this folder.
write_command() {
    local root
    root=$(printf %s "$PWD" | sed "s/'/'\\\\''/g")
    cat >"$venv/bin/fairlens" <<COMMAND
#!/bin/sh
exec "\$(dirname -- "\$0")/python" -I -c 'import sys; sys.path.insert(0, sys.argv.pop(1)); from fairlens_backend.cli import main; sys.exit(main())' '$root' "\$@"
COMMAND
    chmod +x "$venv/bin/fairlens"
}
# A folder from before there was one; a finished one may be read-only.
if [ -x "$venv/bin/python" ] && [ ! -x "$venv/bin/fairlens" ] && [ -w "$venv/bin" ]; then write_command; fi

# The stamp is a copy of the lock: equal bytes mean that nothing has to be done. The dev set contains the runtime set.
if [ -x "$venv/bin/python" ] && cmp -s "$lock" "$stamp"; then exit 0; fi
if [ "$set_name" = runtime ] && [ -x "$venv/bin/python" ] && cmp -s requirements-dev.lock "$venv/.installed-dev"; then exit 0; fi

if [ ! -x "$venv/bin/python" ]; then
    python=
    found=
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        found="$found $candidate=$version"
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then python=$candidate; break; fi
    done
    [ -n "$python" ] || fail "Python 3.11 or newer is needed; found:${found:- none}. Install it, or name it: PYTHON=/path/to/python3.11 bash run.sh"
    echo "FairLens: making $venv with $python"
    "$python" -m venv "$venv" || fail "$python cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
fi

rm -f "$stamp"
echo "FairLens: installing the $set_name set ($lock) into $venv"
started=$SECONDS
# uv: about 10 s where pip takes 131 s, most of it compiling bytecode on one core. pip stays as the way out.
if uv=$(command -v "$venv/bin/uv") || "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-compile uv 2>/dev/null; then
    uv=$venv/bin/uv
    # A cache and an environment on two file systems cannot share hard links; copying says nothing about it.
    "$uv" pip install -q --python "$venv/bin/python" --compile-bytecode --link-mode copy -r "$lock" \
        || fail "uv could not install $lock; the lines above say why (is the package index reachable?)"
else
    echo "FairLens: uv could not be installed, so pip does it (slower)"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-compile -r "$lock" \
        || fail "pip could not install $lock; the lines above say why (is the package index reachable?)"
    "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null || true # some packages ship templates that are not Python
fi
write_command
cp "$lock" "$stamp"
echo "FairLens: installed in $((SECONDS - started)) s"
