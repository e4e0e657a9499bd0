#!/bin/sh
# exeat in one minute, without internet: a real curl asks for a host that no rule lists, and waits for your answer.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

binary=${HELLO_BINARY:-}
if [ -z "$binary" ]; then
    cargo build --locked
    binary=${CARGO_TARGET_DIR:-target}/debug/exeat
fi

scratch=$(mktemp -d)
mkfifo "$scratch/ports"
python3 "$here/hello.py" >"$scratch/ports" &
world=$!
trap 'kill "$world" 2>/dev/null || true; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
read -r dns_port http_port <"$scratch/ports"
sed "s/DNS_PORT/$dns_port/" "$here/exeat.toml" >"$scratch/exeat.toml"

if (: </dev/tty) 2>/dev/null; then
    echo "curl asks for hello.test, which no rule lists. exeat holds it and asks you: answer y to let it pass, n to refuse."
else
    echo "There is no terminal here, so nobody can answer: exeat refuses what no rule lists, and tells curl why."
fi
"$binary" --config "$scratch/exeat.toml" run --addresses 127.0.0.0/8 -- curl -sS "http://hello.test:$http_port/"
echo
