#!/usr/bin/env bash
# mkset.sh FOLDER: the 24 photos of the picture benchmark, 4.1 to 24 MP, 30 MB, from Debian packages (some 200 MB to download).
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 mate-backgrounds plasma-workspace-wallpapers; do
    apt-get -qq download "$package" 2>/dev/null
    dpkg-deb -x "$package"_*.deb "$package"
done
backgrounds=usr/share/backgrounds
cp lomiri-wallpapers-16.04/$backgrounds/*.jpg lomiri-wallpapers-20.04/$backgrounds/Kleiber*.jpg \
    mate-backgrounds/$backgrounds/mate/nature/{Garden,LadyBird,TwoWings,YellowFlower}.jpg "$folder"
rm "$folder"/Picture_1A* "$folder"/umang*
for name in BytheWater ColorfulCups FallenLeaf OneStandsOut Path; do
    cp "plasma-workspace-wallpapers/usr/share/wallpapers/$name/contents/images/2560x1600.jpg" "$folder/$name.jpg"
done
cp "$here/../../images/photo/office-24mp.jpg" "$folder"
[ "$(ls "$folder" | wc -l)" -eq 24 ] || { echo "*** not 24 photos in $folder: have the packages changed?" >&2; exit 1; }
