#!/bin/sh
# root.sh FOLDER: the file system of the image. The binaries, the libraries that they load, the
# authorities that the machine trusts, a user, and who wrote it all: the page's part of that is in
# dashboard/THIRD-PARTY.md, where it was built. Which Debian packages these files are of is written
# where scanners look for it. Run in the Dockerfile; a plain folder will do as well.
set -eu
cd "$(dirname "$0")/../.."
root=$1
times=$(printf '@%s' "${SOURCE_DATE_EPOCH:-0}")
mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/usr/share/doc/tgmesh" "$root/var/lib/dpkg/status.d" "$root/tmp"

for binary in tgmesh tgmesh-listener tgmesh-archiver tgmesh-gateway tgmesh-telegram-sim; do
    # Debug information is for the builder's machine.
    strip --strip-debug -o "$root/usr/local/bin/$binary" "target/release/$binary"
    chmod 755 "$root/usr/local/bin/$binary"
done

# Libraries, at the paths where the binaries look for them.
ldd "$root"/usr/local/bin/* | awk '{ for (n = 1; n <= NF; n++) if ($n ~ /^\/.*\.so/) print $n }' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
    real=$(readlink -f "$library")
    package=$(dpkg-query --search "$real" "$library" 2>/dev/null | sed -n '1s/^\([^:]*\).*/\1/p')
    [ -z "$package" ] || dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
done

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
dpkg-query --status ca-certificates >"$root/var/lib/dpkg/status.d/ca-certificates"
printf 'tgmesh:x:65532:65532:tgmesh:/nonexistent:/sbin/nologin\n' >"$root/etc/passwd"
printf 'tgmesh:x:65532:\n' >"$root/etc/group"
cp LICENSE-MIT LICENSE-APACHE "$root/usr/share/doc/tgmesh/"
python3 deploy/image/notices.py >"$root/usr/share/doc/tgmesh/THIRD-PARTY"
[ ! -e dashboard/THIRD-PARTY.md ] || cp dashboard/THIRD-PARTY.md "$root/usr/share/doc/tgmesh/THIRD-PARTY-PAGE"
find "$root" -exec touch --no-dereference --date="$times" {} +
