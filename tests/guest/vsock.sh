# Runs in a guest without a network: passt and passt guest there, connected by vsock's loopback.
echo "0 65534" > /proc/sys/net/ipv4/ping_group_range
passt -f -t none --vsock 5000 &
sleep 1
unshare -n sh -c 'ip link set lo up; exec passt guest --vsock 1:5000 --config-net --ifname eth0 -d' &
pid=$!
sleep 6
nsenter -t "$pid" -n ip addr show dev eth0 | grep inet
nsenter -t "$pid" -n ip route
mkdir -p /www
head -c 10000000 /dev/urandom > /www/blob
httpd -p 7000 -h /www
md5sum < /www/blob
nsenter -t "$pid" -n ping -c 2 -W 2 169.254.2.2 | grep received
nsenter -t "$pid" -n wget -q -O - http://169.254.2.2:7000/blob | md5sum
