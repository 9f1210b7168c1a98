#!/bin/sh
# Boots a guest without hardware support, with its console on standard output.
#
#     boot.sh KERNEL INITRAMFS NETDEV
#
# NETDEV is what stands behind -netdev, with id=s; "none" for a guest without a network.
set -e
kernel=$1 initramfs=$2 netdev=$3
set -- -accel tcg -cpu max -m 384 -display none -nodefaults -no-reboot -serial stdio -monitor none \
	-kernel "$kernel" -initrd "$initramfs" -append "console=ttyS0 quiet panic=-1"
[ "$netdev" = none ] || set -- "$@" -device virtio-net-pci,netdev=s,romfile= -netdev "$netdev"
exec qemu-system-x86_64 "$@"
