#!/usr/bin/env bash
# packages.sh [build] [tests] [demo]: installs the Debian packages that are missing for that, and says which; nothing when all are there.
set -euo pipefail

build=(meson ninja-build gcc pkg-config libc6-dev libglib2.0-dev libjson-glib-dev libcurl4-openssl-dev libssl-dev libsqlite3-dev libexpat1-dev
    libncurses-dev libvips-dev libwebp-dev libexif-dev liblcms2-dev libmagic-dev libchafa-dev libseccomp-dev zlib1g-dev shared-mime-info)
tests=(python3 python3-venv ca-certificates git openssl procps tmux clang clang-format codespell pmccabe man-db faketime util-linux libimage-exiftool-perl libvips-tools)
demo=(python3 python3-venv ca-certificates)

missing=()
for group in "$@"; do
    declare -n list=$group
    for package in "${list[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
done
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
[ "$(id -u)" -eq 0 ] || root=(sudo)
if ! command -v apt-get >/dev/null; then
    echo "*** no apt-get here; please install what Debian calls: ${missing[*]}" >&2
    exit 0
fi
echo "installing Debian packages: ${missing[*]}"
"${root[@]}" apt-get -qq update </dev/null
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" </dev/null >/dev/null
