# Submits one job for each of three ways to fail, lets each end, and shows what Hodei says of it.
# Runs where the `hodei` command is, with a server running; not as a job itself.
set -euo pipefail

hodei="${HODEI:-hodei}"

fail() { # name, exit code that `hodei run` is to have, what to run
    local name=$1 expected=$2 code=0
    shift 2
    echo "== $name"
    "$hodei" run --name "$name" "$@" || code=$?
    echo "exit code $code"
    [ "$code" -eq "$expected" ]
}

fail exits-with-3 3 --retries 2 --backoff 200ms -- sh -c 'echo "trying"; exit 3'
fail takes-too-long 124 --timeout 500ms -- sleep 60
fail is-not-there 127 -- no-such-program --at all

echo "== what is known of them afterwards"
"$hodei" jobs list --state FAILED --state TIMED_OUT
