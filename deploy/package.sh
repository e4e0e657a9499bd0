#!/bin/sh
# Makes the Debian package of a program that is built: its manual and completions, then cargo-deb.
#   cargo build --locked --release && deploy/package.sh FOLDER
# More arguments are cargo-deb's.
set -eu
umask 022

[ "$#" -ge 1 ] || { printf 'usage: package.sh FOLDER [ARGUMENT]…\n' >&2; exit 2; }
mkdir -p "$1"
folder="$(cd "$1" && pwd)"
shift
cd "$(dirname "$0")/.."
release="${CARGO_TARGET_DIR:-target}/release"
exeat="$release/exeat"
[ -x "$exeat" ] || { printf 'package.sh: there is no %s; build it first: cargo build --locked --release\n' "$exeat" >&2; exit 1; }

made="$release/package"
rm -rf "$made"
mkdir -p "$made/man" "$made/completions"
"$exeat" man "$made/man"
gzip -9n "$made"/man/*.1
"$exeat" completions bash >"$made/completions/exeat.bash"
"$exeat" completions zsh >"$made/completions/_exeat"
"$exeat" completions fish >"$made/completions/exeat.fish"
cargo deb --locked --no-build --output "$folder/" "$@"
