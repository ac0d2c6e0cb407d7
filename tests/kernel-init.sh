#!/bin/busybox sh
# The first process of a kernel under test: see kernels.sh.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/lib/$module" 2>/dev/null || echo "not loaded: $module"
done </lib/order
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
if sh /job; then echo "JOB DONE"; else dmesg | tail -n 20; echo "JOB FAILED"; fi
poweroff -f
