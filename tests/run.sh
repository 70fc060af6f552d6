#!/usr/bin/env bash
# tests/run.sh [SUITE...]: builds hoist with sanitizers and runs its tests. Suites: lint unit vectors screen images servers roads crash faults; none = all of these.
# More, because heavy: next tus-more azurite.
# The last line is 'N passed, N failed[, N skipped]'; the exit status is 0 when nothing failed. Everything it writes lies in build/.
#
# HOIST_VECTORS=DIR   further vector files for the suite vectors      HOIST_TEST_S3=URL   a further S3 endpoint (AWS_* variables: its keys)
# HOIST_IMAGES=DIR    further pictures for the picture tests          HOIST_SERVERS=DIR   servers that install.sh put there earlier
set -euo pipefail

all='lint unit vectors screen images servers roads crash faults'
more='next tus-more azurite'
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }
for suite in "$@"; do
    case $suite in
    -h | --help) usage; exit 0 ;;
    esac
    case " $all $more " in
    *" $suite "*) ;;
    *) echo "tests/run.sh: no suite '$suite' (allowed: $all $more)" >&2; exit 2 ;;
    esac
done
suites=${*:-$all}
wants() { case " $suites " in *" $1 "*) true ;; *) false ;; esac; }

# A folder that the caller named is meant relative to where the caller stands.
for name in HOIST_VECTORS HOIST_IMAGES HOIST_SERVERS; do
    folder=${!name:-}
    [ -n "$folder" ] || continue
    [ -d "$folder" ] || { echo "tests/run.sh: $name=$folder is not a folder" >&2; exit 2; }
    folder=$(cd "$folder" && pwd)
    export "$name=$folder"
done
cd "$(dirname "$0")/.."
root=$PWD
export HOIST_SERVERS=${HOIST_SERVERS:-$root/build/servers}
mkdir -p build/results
begun=$SECONDS
say() { printf '== %4d s  %s\n' $((SECONDS - begun)) "$*"; }

# ---- packages
tests/packages.sh build tests

# ---- servers: fetched and built while hoist is
heavy=()
for suite in $more; do
    ! wants "$suite" || heavy+=("$suite")
done
installing=
if wants servers || wants roads || wants crash || wants faults || wants screen || wants images || [ ${#heavy[@]} -gt 0 ]; then
    say "servers in ${HOIST_SERVERS#"$root"/}, meanwhile"
    tests/e2e/install.sh "$HOIST_SERVERS" "${heavy[@]}" &
    installing=$!
fi
servers_ready() {
    [ -n "$installing" ] || return 0
    wait "$installing" || { echo '*** the servers could not be installed' >&2; exit 1; }
    installing=
    say 'servers are there'
}

# ---- build
# A folder that an interrupted or older meson left half-made is set up anew.
configure() {
    local folder=$1
    shift
    [ -f "$folder/build.ninja" ] && return
    say "configuring $folder"
    rm -rf "$folder"
    meson setup "$folder" -Dwerror=true "$@" >"$folder.log" 2>&1 || { tail -n 40 "$folder.log" >&2; rm -rf "$folder"; exit 1; }
}
compile() {
    local folder=$1
    shift
    say "building $folder"
    ninja -C "$folder" "$@" >"$folder.log" 2>&1 || { grep -v '^\[' "$folder.log" | tail -n 60 >&2; echo "*** $folder could not be built" >&2; exit 1; }
}
mkdir -p build
if [ "$suites" != crash ]; then
    configure build/tests -Db_sanitize=address,undefined -Doptimization=1
    compile build/tests
fi
if wants unit || wants servers; then
    configure build/tsan -Db_sanitize=thread -Doptimization=1
    compile build/tsan tests/test_mailbox tests/test_prep tui/hoist imgproc/hoist-imgproc
fi
if wants crash; then
    configure build/crash -Dcrash_points=true -Doptimization=1
    compile build/crash
fi
# ---- tests
status=0
results=()
# With address space layouts that it does not know the thread sanitizer gives up at once; its own words on GIO's locks are false.
export TSAN_OPTIONS="suppressions=$root/tests/tsan.supp"
without_random_layout=()
! setarch -R true 2>/dev/null || without_random_layout=(setarch -R)
run() { # [threads=1] run LABEL FOLDER ARGUMENTS-OF-MESON-TEST
    local label=$1 folder=$2 fixed=()
    shift 2
    [ -z "${threads:-}" ] || fixed=("${without_random_layout[@]}")
    say "suite $label"
    rm -f "$folder/meson-logs/$label.json"
    "${fixed[@]}" meson test -C "$folder" --no-rebuild --logbase "$label" --print-errorlogs "$@" </dev/null || true
    results+=("$folder/meson-logs/$label.json")
}
for suite in $suites; do
    case $suite in
    lint | unit | vectors) ;;
    *) servers_ready ;;
    esac
    case $suite in
    crash) run crash build/crash --suite crash ;;
    unit)
        run unit build/tests --suite unit
        threads=1 run unit-threads build/tsan test_mailbox test_prep
        ;;
    servers)
        run servers build/tests --suite servers
        threads=1 run servers-threads build/tsan --suite servers
        ;;
    *) run "$suite" build/tests --suite "$suite" ;;
    esac
done
[ $# -gt 0 ] || say "not run unless named, because heavy: $more"
say 'done'
python3 tests/count.py "${results[@]}" || status=1
exit $status
