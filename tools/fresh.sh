#!/usr/bin/env bash
# Clone, 'make demo' and 'make test' in an empty Debian sid with Python 3.14, and 'ibkr demo' with 3.15: 'make fresh'.
# It has its own root directory and its own network namespace, so it uses no port of this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=$PATH:/usr/sbin:/sbin

lacks() {
  echo "make fresh: $1" >&2
  exit 1
}
[ "$(id -u)" -eq 0 ] || lacks "debootstrap and namespaces need root"
for program in debootstrap unshare chroot ip pkill apt-get git; do
  command -v "$program" >/dev/null || lacks "$program is missing (Debian: apt install debootstrap iproute2 procps git)"
done
unshare --mount --net true || lacks "this machine allows no namespaces"

# Use the package server of this machine for Debian.
source=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | sort -u | head -n 1)
[ -n "$source" ] || lacks "apt has no package server of Debian: run 'apt-get update'"

work=$PWD/.fresh
root=$work/root
if [ ! -e "$work/made" ]; then
  rm -rf "$work"
  mkdir -p "$work"
  echo "making an empty Debian sid in .fresh: a few minutes"
  debootstrap --variant=minbase --include=ca-certificates,git,make,procps,python3,python3-venv,python3.15,python3.15-venv \
    sid "$root" "$source" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; lacks "debootstrap has failed"; }
  chroot "$root" useradd --create-home stranger
  touch "$work/made"
fi
# Use this machine's name servers and certificates.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

# Use this machine's settings for pip, if it has any.
pip=(PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1)
index=$(python3 -m pip config get global.index-url 2>/dev/null || true)
for setting in "PIP_INDEX_URL=${PIP_INDEX_URL:-$index}" "http_proxy=${http_proxy:-}" "https_proxy=${https_proxy:-}"; do
  [ -z "${setting#*=}" ] || pip+=("$setting")
done

# If this script is ended from outside, it kills the first process of the namespace. Then the system kills all others.
# unshare's own option --kill-child has no effect here: the system forgets it when the user id changes to the stranger's.
running=
trap '[ -z "$running" ] || pkill -KILL --parent "$running" || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Run a command as the user 'stranger'. If the first word is --net, the command has no network except loopback.
as_stranger() {
  local net=()
  if [ "$1" = --net ]; then net=(--net); shift; fi
  unshare --mount --pid --fork "${net[@]}" bash -euc '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/dev/shm"
    ip link set lo up
    exec chroot --userspec=stranger:stranger "$root" env -i HOME=/home/stranger PATH=/usr/bin:/bin LANG=C.UTF-8 "$@"
  ' bash "$root" "${pip[@]}" WORKERS="${WORKERS:-6}" sh -euc "$1" &
  running=$!
  wait "$running"
  running=
}

rm -rf "$root/home/stranger"/{ibkr,later}
git clone --quiet --no-hardlinks . "$root/home/stranger/ibkr"
chroot "$root" chown -R stranger:stranger /home/stranger

as_stranger 'cd ~/ibkr && python3 --version && make .venv/.developing'
as_stranger 'python3.15 -m venv ~/later && ~/later/bin/pip install --quiet ~/ibkr'
as_stranger --net 'cd ~/ibkr && make demo'
as_stranger --net 'cd ~/ibkr && make test'
as_stranger --net '~/later/bin/python --version && ~/later/bin/ibkr demo'
echo "make fresh: everything works"
