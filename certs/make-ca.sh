#!/bin/sh
# Makes a certificate authority for exeat with openssl alone, the same as `exeat ca init` makes.
#   make-ca.sh [FOLDER] [--name NAME] [--days N] [--permit DOMAIN]...
# FOLDER (default: the user's configuration folder of exeat, certs/) gets ca.pem and ca.key; nothing that is there is overwritten.
set -eu
umask 077

folder="${XDG_CONFIG_HOME:-$HOME/.config}/exeat/certs"
name="exeat CA $(date -u +%Y-%m-%d) $(openssl rand -hex 2)"
days=365
permitted=""
case "${1:-}" in "" | --*) ;; *) folder="$1"; shift ;; esac
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || { echo "make-ca.sh: $1 needs a value" >&2; exit 2; }
  case "$1" in
    --name) name="$2" ;;
    --days) days="$2" ;;
    --permit) permitted="$permitted${permitted:+,}permitted;DNS:$2" ;;
    *) echo "make-ca.sh: $1 is not known; see the first lines of this file" >&2; exit 2 ;;
  esac
  shift 2
done

mkdir -p "$folder"
for file in "$folder/ca.pem" "$folder/ca.key"; do
  [ ! -e "$file" ] || { echo "make-ca.sh: $file is there already, and nothing is overwritten" >&2; exit 1; }
done
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

{
  printf '[req]\nprompt = no\nstring_mask = utf8only\ndistinguished_name = dn\nx509_extensions = ca\n[dn]\nCN = %s\n' "$name"
  printf '[ca]\nbasicConstraints = critical, CA:true, pathlen:0\nkeyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n'
  # A kind that is not named would be free: where domains are permitted, every address is excluded.
  [ -z "$permitted" ] ||
    printf 'nameConstraints = critical, %s, excluded;IP:0.0.0.0/0.0.0.0, excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0\n' "$permitted"
} >"$scratch/ca.cnf"

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve -out "$scratch/ca.key"
openssl req -new -x509 -config "$scratch/ca.cnf" -key "$scratch/ca.key" -sha256 -days "$days" -out "$scratch/ca.pem"
# The key first: an authority without one is of no use, a key without one harms nobody.
mv "$scratch/ca.key" "$folder/ca.key"
mv "$scratch/ca.pem" "$folder/ca.pem"
chmod 644 "$folder/ca.pem"
printf 'made %s and %s\n' "$folder/ca.pem" "$folder/ca.key"
