# Runs in the guest: what passt tells it, and whether the world can be reached. PEER4, PEER6
# and URL are put in front of it.
ip link set eth0 up
udhcpc -i eth0 -n -q -f 2>&1 | grep obtained
sleep 3
ip addr show dev eth0 | grep -E 'mtu|inet'
ip route
ip -6 route | grep default
cat /etc/resolv.conf
ping -c 2 -W 2 "$PEER4" | grep received
ping -c 2 -W 2 "$PEER6" | grep received
for u in $URL; do wget -q -O - "$u" | md5sum; done
