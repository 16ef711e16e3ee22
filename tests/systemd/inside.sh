#!/bin/bash
# Run by the systemd that boot.sh boots: what the units promise, promise by promise.
set -euo pipefail
unit=aimis-gateway.service
explain() {
    systemctl --no-pager --full status "$unit" || true
    journalctl --no-pager -n 40 || true
    echo "line $1 failed" >/out/ended
}
trap 'explain $LINENO' ERR
show() { systemctl show --property "$1" --value "$unit"; }
# Any answer will do, there is no platform here: what counts is that a connection is neither refused nor cut.
ask() { curl --silent --show-error --output /dev/null --max-time 20 --data '{}' http://127.0.0.1:8080/thirdparty/patientStudies/900001; }

echo '== start behind the socket, with a credential that only root can read'
systemctl start aimis-gateway.socket
systemctl start "$unit"
[ "$(show StatusText)" = serving ]
[ "$(curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:9464/readyz)" = 200 ]
ask

echo '== no rights, no core file, filtered calls'
process=/proc/$(show MainPID)
grep -q '^CapEff:.0000000000000000$' "$process/status"
grep -q '^NoNewPrivs:.1$' "$process/status"
grep -q '^Seccomp:.2$' "$process/status"
grep -q '^Umask:.0077$' "$process/status"
grep -q '^Max core file size *0 *0 ' "$process/limits"
curl --silent http://127.0.0.1:9464/metrics | grep -q '^process_open_fds '
if journalctl --no-pager | grep -q 'did not allow'; then false; fi

echo '== reload: the same process'
before=$(show MainPID)
systemctl reload "$unit"
[ "$(show MainPID)" = "$before" ]

echo '== restarts refuse nobody'
(while [ ! -e /run/enough ]; do ask || echo refused >>/run/refused; done) &
for _ in 1 2 3; do systemctl restart "$unit"; done
[ "$(show MainPID)" != "$before" ]
touch /run/enough
wait
[ ! -e /run/refused ]

echo '== the watchdog ends what no longer turns, and it starts again'
mkdir -p "/etc/systemd/system/$unit.d"
printf '[Service]\nWatchdogSec=2\nRestartSec=100ms\n' >"/etc/systemd/system/$unit.d/quick.conf"
systemctl daemon-reload
systemctl restart "$unit"
stuck=$(show MainPID)
kill -STOP "$stuck"
while [ "$(show MainPID)" = "$stuck" ] || [ "$(show ActiveState)" != active ]; do :; done
[ "$(show NRestarts)" = 1 ]
ask
journalctl --sync
journalctl --no-pager | grep -q 'Watchdog timeout'

echo '== a stop is clean'
systemctl stop aimis-gateway.socket "$unit"
[ "$(show Result)/$(show ExecMainStatus)" = success/0 ]

echo '== a configuration that is wrong is not tried again'
sed -i 's/^app_id/app_ip/' /etc/aimis-gateway/gateway.toml
if systemctl start "$unit"; then false; fi
[ "$(show Result)/$(show ExecMainStatus)/$(show NRestarts)/$(show ActiveState)" = exit-code/78/0/failed ]

echo 'all is well' >/out/ended
