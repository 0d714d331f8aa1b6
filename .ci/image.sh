#!/usr/bin/env bash
# Makes the agent's image of build/static/outrider without a registry: the last stage of Dockerfile.agent over the files
# that its first stage would have made.
#
#     .ci/image.sh CONTEXT DOCKER TAG      CONTEXT: a folder to write; DOCKER: the client, with its options
set -euo pipefail
cd "$(dirname "$0")/.."
context=${1:?context} tag=${3:?tag}
read -r -a docker <<<"${2:?docker}"
certificates=/etc/ssl/certs/ca-certificates.crt

[ -e "$certificates" ] || { echo "image.sh: no $certificates: apt-get install ca-certificates" >&2; exit 1; }
rm -rf "$context"
mkdir -p "$context/image/etc/ssl/certs"
cp build/static/outrider "$context/image/outrider"
cp "$certificates" "$context/image/etc/ssl/certs/"
chmod 0755 "$context/image/outrider"
chmod 0644 "$context/image/etc/ssl/certs/ca-certificates.crt"
# Times of the last commit: the same tree gives the same layer.
find "$context/image" -exec touch -h -d "@$(git log -1 --format=%ct 2>/dev/null || echo 1)" {} +
sed -n '/^FROM scratch/,$p' Dockerfile.agent | sed 's/--from=build //; s|COPY /image/|COPY image/|' >"$context/Dockerfile"

"${docker[@]}" version --format '{{.Server.Version}}' >/dev/null 2>&1 || {
	echo "image.sh: no engine answers '${docker[*]} version'; its files are in $context, with a Dockerfile" >&2
	exit 1
}
"${docker[@]}" build -q -t "$tag" "$context" >/dev/null
size=$("${docker[@]}" image inspect -f '{{.Size}}' "$tag")
echo "$tag: $((size / 1000)) kB ($((size * 100 / 7000000)) % of the 7 MB that it may have)"
