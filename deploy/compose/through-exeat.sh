#!/bin/sh
# Runs an agent's command with the proxy in its environment. The URL holds a token, so it is a secret and in no configuration of a container.
set -eu
proxy="$(cat "${PROXY_FILE:-/run/secrets/proxy}")"
export http_proxy="$proxy" https_proxy="$proxy" HTTP_PROXY="$proxy" HTTPS_PROXY="$proxy" ALL_PROXY="$proxy" all_proxy="$proxy"
export no_proxy="localhost,127.0.0.1,::1" NO_PROXY="localhost,127.0.0.1,::1"
exec "$@"
