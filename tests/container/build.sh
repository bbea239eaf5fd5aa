#!/usr/bin/env bash
# Build the Dockerfile and start its container where there is neither a Docker engine nor a registry:
# with buildah and podman from Debian's packages, on a base image made with debootstrap that takes
# the official one's name. Needs root, 8 GB of disk, and about ten minutes. Prints what README.md
# beside it keeps.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-/var/tmp/pulmoscope-container}
base=docker.io/library/python:3.11-slim
image=localhost/pulmoscope
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=chroot

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
buildah build --pull=never --layers --format docker "${mounts[@]}" --tag "$image" . >"$work/build.log" 2>&1 ||
  { tail -30 "$work/build.log"; exit 1; }

echo "image: $(buildah inspect --type image --format '{{.FromImageID}}' "$image")"
echo "size: $(podman image inspect --format '{{.Size}}' "$image") bytes"
echo "user: $(podman image inspect --format '{{.User}}' "$image")"
echo "health check: $(podman image inspect --format '{{.Config.Healthcheck.Test}}' "$image")"

# What runs: no root, nothing to write to but /tmp, no build tools.
podman run --detach --name pulmoscope-test --replace --network host --cgroups disabled \
  --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
  "$image" streamlit run app/server.py --server.address=127.0.0.1 --server.port=8599 >/dev/null
trap 'podman rm --force pulmoscope-test >/dev/null' EXIT
for _ in $(seq 120); do
  curl -fs http://127.0.0.1:8599/v1/health >/dev/null && break
  sleep 1
done
echo "health: $(curl -s http://127.0.0.1:8599/v1/health)"
echo "page: $(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8599/)"
podman exec pulmoscope-test python - <<'PYTHON'
import os, shutil, urllib.request
import cv2
from pipeline.phantom import EXAMPLES, draw_film
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
podman stop --time 10 pulmoscope-test >/dev/null
echo "stopped in $((($(date +%s%N) - began) / 1000000)) ms"
podman logs pulmoscope-test 2>&1 | grep '"event"' | head -3
