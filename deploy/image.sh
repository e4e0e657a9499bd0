#!/bin/sh
# Makes the root file system of the image, and nothing else does: the Dockerfile copies it, the tests run it in a root of its own.
#   image.sh PROFILE FOLDER   PROFILE is a Cargo profile (release, dev), FOLDER is made anew
# EXEAT_IMAGE_ROOTS names the certificate authorities; without it they are the system's.
set -eu
umask 022

[ "$#" -eq 2 ] || { printf 'usage: image.sh PROFILE FOLDER\n' >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { printf 'image.sh: files of the image belong to root and to 65532; run this as root\n' >&2; exit 1; }
profile="$1"
mkdir -p "$2"
root="$(cd "$2" && pwd)"
cd "$(dirname "$0")/.."
roots="${EXEAT_IMAGE_ROOTS:-/etc/ssl/certs/ca-certificates.crt}"
[ -z "$(ls -A "$root")" ] || { printf 'image.sh: %s is not empty\n' "$root" >&2; exit 1; }

install -d "$root/usr/bin" "$root/etc/ssl/certs" "$root/etc/exeat/allowlists" "$root/etc/exeat/floor" "$root/usr/share/doc/exeat"
install -d -o 65532 -g 65532 -m 0700 "$root/var/lib/exeat"

# glibc's own name service is what a static program lacks, and exeat does not use it. The flag is for the last crate alone, so that all others are
# those of an ordinary build; `--emit` leaves the ordinary program where it is.
cargo rustc --quiet --locked --profile "$profile" --bin exeat -- -C target-feature=+crt-static --emit=link="$root/usr/bin/exeat"
chmod 0755 "$root/usr/bin/exeat"
if readelf --program-headers "$root/usr/bin/exeat" | grep -q INTERP; then
  printf 'image.sh: the program is not static\n' >&2
  exit 1
fi

install -m 0644 "$roots" "$root/etc/ssl/certs/ca-certificates.crt"
install -m 0644 deploy/image/exeat.toml "$root/etc/exeat/exeat.toml"
install -m 0644 deploy/image/floor.toml "$root/etc/exeat/floor/floor.toml"
install -m 0644 LICENSE-APACHE LICENSE-MIT "$root/usr/share/doc/exeat/"
printf 'exeat:x:65532:65532:exeat:/var/lib/exeat:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'exeat:x:65532:\n' >"$root/etc/group"
# What is compiled in, with versions and licences. Cargo names the folder of exeat itself, which is nobody's concern.
cargo tree --quiet --locked --edges normal --prefix none --format '{p} {l}' | sed -E 's| \(/[^)]*\)||; s| \(\*\)$||' | LC_ALL=C sort -u \
  >"$root/usr/share/doc/exeat/crates.txt"
