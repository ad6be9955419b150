#!/bin/sh
# Runs the test of a full disk on a tmpfs of 2 MiB. Needs root.
set -eu
disk=$(mktemp -d)
mount -t tmpfs -o size=2m tmpfs "$disk"
trap 'umount "$disk"; rmdir "$disk"' EXIT
MV_SMALL_DISK="$disk" cargo test -p mv-tests --test repo -- --ignored a_full_disk
