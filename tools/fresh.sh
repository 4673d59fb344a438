#!/usr/bin/env bash
# Clone, 'make demo' and 'make test' in an empty Debian sid with Python 3.14, and 'ibkr demo' with 3.15: 'make fresh'.
# It runs in a root directory and a network namespace of its own, so it uses no port of this machine.
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

# Debian, from the package server of this machine.
source=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | sort -u | head -n 1)
[ -n "$source" ] || lacks "apt knows no Debian: run 'apt-get update'"

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
# The network's names and authorities are the machine's.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

# By what pip finds packages here, if that is not its own way.
pip=(PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1)
index=$(python3 -m pip config get global.index-url 2>/dev/null || true)
for setting in "PIP_INDEX_URL=${PIP_INDEX_URL:-$index}" "http_proxy=${http_proxy:-}" "https_proxy=${https_proxy:-}"; do
  [ -z "${setting#*=}" ] || pip+=("$setting")
done

# Ended from outside, it takes what runs in there with it: with the first process of a namespace, all of it ends.
# (unshare's own --kill-child is forgotten by the system when the stranger's user id is taken.)
running=
trap '[ -z "$running" ] || pkill -KILL --parent "$running" || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A command of the stranger's; with --net as the first word, without a network but loopback.
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
echo "make fresh: all is well"
