#!/usr/bin/env bash
# Build the Dockerfile and start its container where there is neither a Docker engine nor a registry:
# with buildah from Debian's packages, on a base image made with debootstrap that takes the official
# one's name. Needs root, 8 GB of disk, and some ten minutes. Prints what README.md beside it keeps.
#
# The container is started with podman where an OCI runtime works. Where none does (nested
# containers often forbid it), its file system is mounted read-only, with a tmpfs at /tmp, and the
# image's command runs in it as the image's user, with the image's environment and no capabilities.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-/var/tmp/pulmoscope-container}
base=docker.io/library/python:3.11-slim
image=localhost/pulmoscope
export BUILDAH_ISOLATION=chroot

apt-get install -q -y --no-install-recommends buildah podman debootstrap crun >/dev/null
mkdir -p "$work"

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
  rm -rf "$work/root"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
    bookworm "$work/root" http://deb.debian.org/debian >"$work/debootstrap.log"
  rm -rf "$work/root/var/cache/apt/archives" "$work/root/var/lib/apt/lists"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/root" /
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit --quiet --rm "$container" "$base"
  rm -rf "$work/root"
fi

# The builder's own pip settings and certificates, for hosts behind a mirror.
mounts=()
for path in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt ${PIP_MOUNTS:-}; do
  [ -e "$path" ] && mounts+=(--volume "$path:$path:ro")
done
if [ -z "${KEEP_IMAGE:-}" ]; then  # KEEP_IMAGE=1: start what was built before
  buildah build --pull=never --layers --format docker "${mounts[@]}" --tag "$image" . \
    >"$work/build.log" 2>&1 || { tail -30 "$work/build.log"; exit 1; }
fi

field() { buildah inspect --type image --format "{{$1}}" "$image"; }
echo "image: $(field .FromImageID)"
echo "size: $(podman image inspect --format '{{.Size}}' "$image") bytes"
echo "user: $(field .OCIv1.Config.User)"
echo "health check: $(field .Docker.Config.Healthcheck.Test)"

# What runs: no root, nothing to write to but /tmp, no capabilities.
command=(streamlit run app/server.py --server.address=127.0.0.1 --server.port=8599)
if podman run --detach --name pulmoscope-test --replace --network host --cgroups disabled \
  --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
  --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --health-interval disable \
  "$image" "${command[@]}" >"$work/podman.log" 2>&1; then
  echo "started with: podman"
  trap 'podman rm --force pulmoscope-test >/dev/null' EXIT
  inside() { podman exec -i pulmoscope-test "$@"; }
  stop() { podman stop --time 10 pulmoscope-test >/dev/null; podman logs pulmoscope-test >"$work/log" 2>&1; }
else
  echo "started with: a read-only mount ($(tail -1 "$work/podman.log"))"
  podman rm --force pulmoscope-test >/dev/null 2>&1 || true
  container=$(buildah from --pull-never "$image")
  tree=$(buildah mount "$container")
  mapfile -t variables < <(field 'range .OCIv1.Config.Env}}{{println .}}{{end')
  root=$work/run
  mkdir -p "$root"
  mount --bind "$tree" "$root"
  mount -o remount,bind,ro "$root"
  mount -t tmpfs tmpfs "$root/tmp"
  mount --bind /proc "$root/proc"
  mount --bind /dev "$root/dev"
  trap 'umount "$root/dev" "$root/proc" "$root/tmp" "$root"; buildah rm "$container" >/dev/null' EXIT
  inside() {
    chroot --userspec="$(field .OCIv1.Config.User):0" "$root" env -i "${variables[@]}" \
      setpriv --no-new-privs --bounding-set=-all sh -c \
      'cd "$0" && exec "$@"' "$(field .OCIv1.Config.WorkingDir)" "$@"
  }
  inside "${command[@]}" >"$work/log" 2>&1 &
  stop() { kill -TERM $(pgrep -f -- --server.port=8599); wait || true; }
fi
for _ in $(seq 240); do
  curl -fs http://127.0.0.1:8599/v1/health >/dev/null && break
  sleep 1
done
echo "health: $(curl -s http://127.0.0.1:8599/v1/health)"
echo "page: $(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8599/)"
inside python - <<'PYTHON'
import os, shutil, urllib.request
import cv2
from pipeline.data.phantom import EXAMPLES, draw_film
film = cv2.imencode(".png", draw_film(EXAMPLES["clear"])[0])[1].tobytes()
answer = urllib.request.urlopen("http://127.0.0.1:8599/v1/diagnose", film).read()
print("diagnosis:", answer.decode()[:400])
print("user id:", os.getuid())
print("build tools:", [tool for tool in ("gcc", "g++", "make", "pip", "git") if shutil.which(tool)])
try:
    open("/srv/pulmoscope/new", "w")
except OSError as error:
    print("writing:", error.strerror)
PYTHON
began=$(date +%s%N)
stop
echo "stopped in $((($(date +%s%N) - began) / 1000000)) ms"
grep '"event"' "$work/log" | head -3
