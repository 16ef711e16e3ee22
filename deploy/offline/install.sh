#!/bin/sh
# Installs the gateway from this directory on a machine without dpkg: as root, without network. What is there of an
# earlier version is replaced, but for /etc/aimis-gateway. DESTDIR=/some/root installs below that.
set -eu
cd "$(dirname "$0")"
root="${DESTDIR:-}"

sha256sum --quiet -c SHA256SUMS

put() { # mode, file, place
    mkdir -p "$root$(dirname "$3")"
    # Renamed into place: a program that runs cannot be written to.
    cp "$2" "$root$3.new"
    chmod "$1" "$root$3.new"
    mv -f "$root$3.new" "$root$3"
}

put 0755 aimis-gateway /usr/bin/aimis-gateway
put 0644 aimis-gateway.1 /usr/share/man/man1/aimis-gateway.1
put 0644 systemd/aimis-gateway.service /etc/systemd/system/aimis-gateway.service
put 0644 systemd/aimis-gateway.socket /etc/systemd/system/aimis-gateway.socket
put 0644 systemd/aimis-gateway.service.d/hardening.conf \
    /etc/systemd/system/aimis-gateway.service.d/hardening.conf
if [ -z "$root" ]; then
    getent passwd aimis-gateway >/dev/null ||
        useradd --system --user-group --home-dir /var/lib/aimis-gateway --shell /sbin/nologin aimis-gateway
    install -d -m 0750 -o root -g aimis-gateway /etc/aimis-gateway /etc/aimis-gateway/secrets
    install -d -m 0700 -o aimis-gateway -g aimis-gateway /var/lib/aimis-gateway
fi
if [ ! -e "$root/etc/aimis-gateway/gateway.toml" ]; then
    put 0644 config/profiles/hospital-single.toml /etc/aimis-gateway/gateway.toml
fi
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
echo "installed $("$root/usr/bin/aimis-gateway" --version); next, see docs/installation.md"
