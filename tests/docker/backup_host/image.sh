#!/bin/sh
# image.sh ROOT: puts into the folder ROOT what a backup host is made of, out of this Debian: OpenSSH, stock borg with its
# Python, a shell, and the accounts they want.
set -eu
root=$1
python=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib").lstrip("/"))')
packages=usr/lib/python3/dist-packages
cd /

# Links are followed: what they lead to would not be there. What is excluded is for building Pythons.
copy() {
    tar --dereference --exclude='config-3*' -cf - "$@" | tar -C "$root" -xf -
}

copy usr/sbin/sshd usr/bin/ssh usr/bin/python3 usr/bin/borg "$python" \
    $packages/borg $packages/borgbackup-* $packages/msgpack $packages/packaging
find "$root/usr" -type f \( -name '*.so' -o -path '*/bin/*' -o -path '*/sbin/*' \) -exec ldd {} + 2>/dev/null |
    grep -o '/[^ ]*\.so[^ ]*' | grep -v "^$root" | sort -u | sed 's,^/,,' >"$root/libraries"
copy -T "$root/libraries"
rm "$root/libraries"

mkdir -p "$root/bin" "$root/etc/ssh" "$root/root" "$root/run/sshd" "$root/tmp" "$root/backups" "$root/home/backup"
chmod 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for name in sh sha256sum; do
    ln -s busybox "$root/bin/$name"
done
cat >"$root/etc/passwd" <<'END'
root:*:0:0::/root:/bin/sh
sshd:*:100:100::/run/sshd:/bin/false
backup:*:1001:1001::/home/backup:/bin/sh
END
cat >"$root/etc/group" <<'END'
root:*:0:
sshd:*:100:
backup:*:1001:
END
chown 1001:1001 "$root/backups" "$root/home/backup"
