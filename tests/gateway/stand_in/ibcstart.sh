#!/bin/bash
# A stand-in for IBC's ibcstart.sh, with its interface: the same arguments, the same loop, the same exit code.
version=$1
for word in "$@"; do
  case $word in
    --ibc-ini=*) ini=${word#*=} ;;
    --tws-path=*) tws=${word#*=} ;;
    --tws-settings-path=*) settings=${word#*=} ;;
    --java-path=*) java=${word#*=} ;;
    --mode=*) mode=${word#*=} ;;
    --on2fatimeout=*) on2fa=${word#*=} ;;
  esac
done
settings=${settings:-$tws}
[ -e "$tws/ibgateway/$version/jars" ] || { echo "Error: Offline TWS/Gateway version $version is not installed" >&2; exit 4; }
[ -e "$ini" ] || { echo "Error: IBC configuration file: $ini does not exist" >&2; exit 6; }

find_auto_restart() {
  restart=
  file=$(find "$settings" -mindepth 2 -maxdepth 2 -type f -name autorestart)
  if [ -n "$file" ]; then
    echo "autorestart file found at $file: authentication will not be required"
    restart=-Drestart=$(basename "$(dirname "$file")")
  else
    echo "autorestart file not found: full authentication will be required"
  fi
}

find_auto_restart
while :; do
  echo "Starting Gateway with this command:"
  trap 'kill -TERM $pid' TERM INT
  "$java/java" -cp classes "-DjtsConfigDir=$settings" $restart ibcalpha.ibc.IbcGateway "$ini" $mode 2>&1 &
  pid=$!
  wait $pid
  trap - TERM INT
  wait $pid
  code=$(($? % 256))
  echo "IBC returned exit status $code"
  find_auto_restart
  if [ -z "$restart" ] && [ $code -ne 88 ] && ! { [ $code -eq 87 ] && [ "$on2fa" = restart ]; }; then
    break
  fi
  echo "IBC will restart shortly"
done
echo "Gateway finished"
exit $code
