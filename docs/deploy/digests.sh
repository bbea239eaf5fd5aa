#!/usr/bin/env bash
# Name the images that the Dockerfile and compose.yaml start from by their present digests.
set -euo pipefail
cd "$(dirname "$0")/../.."
for image in docker.io/library/python:3.11-slim docker.io/library/caddy:2; do
  digest=$(skopeo inspect --format '{{.Digest}}' "docker://$image")
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "no digest of $image: $digest" >&2; exit 1; }
  sed -E -i "s|$image(@sha256:[0-9a-f]{64})?|$image@$digest|" Dockerfile docs/deploy/compose.yaml
  echo "$image@$digest"
done
