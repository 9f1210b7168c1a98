#!/bin/sh
# Makes the initramfs of a guest: busybox, the modules that virtio-net, tap and vsock need,
# the program itself, and a script that init runs once the modules are loaded.
#
#     initramfs.sh MODULES SCRIPT PASST OUTPUT
#
# MODULES is the directory of one kernel's modules (/lib/modules/VERSION of its package),
# SCRIPT runs in the guest with sh, PASST is the program, statically linked.
set -e
modules=$1 script=$2 passt=$3 output=$4

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/etc" "$root/usr" "$root/modules" "$root/etc/udhcpc"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$passt" "$root/bin/passt"
cp "$script" "$root/script"

# In the order in which they have to be loaded.
list="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net
tun vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport vsock_loopback"
for m in $list; do
	find "$modules" -name "$m.ko" -exec cp {} "$root/modules/" \;
done

cat > "$root/etc/udhcpc/default.script" <<'END'
#!/bin/sh
case "$1" in
bound | renew)
	ip addr flush dev "$interface" scope global
	[ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
	ip addr add "$ip/$mask" dev "$interface"
	for r in $router; do ip route add default via "$r" dev "$interface"; break; done
	: > /etc/resolv.conf
	[ -z "$search" ] || echo "search $search" >> /etc/resolv.conf
	for d in $dns; do echo "nameserver $d" >> /etc/resolv.conf; done
	;;
esac
END
chmod 755 "$root/etc/udhcpc/default.script"

# The root moves to a tmpfs first: nothing can be mounted in its place, or a user namespace be
# made, while it is the initramfs itself.
cat > "$root/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir /new
mount -t tmpfs root /new
cp -a /bin /dev /etc /modules /proc /script /start /sys /tmp /usr /new
exec switch_root /new /start
END
cat > "$root/start" <<END
#!/bin/busybox sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in $(echo $list); do [ ! -e /modules/\$m.ko ] || insmod /modules/\$m.ko; done
mkdir -p /dev/net
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
ip link set lo up
echo "guest: up after \$(cut -d' ' -f1 /proc/uptime) s"
sh /script
echo "guest: done \$?"
poweroff -f
END
chmod 755 "$root/start"
chmod 755 "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2> /dev/null | gzip -1) > "$output"
