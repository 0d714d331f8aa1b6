#!/usr/bin/env bash
# Fetches the packages that the admin port's page embeds, as its lock file pins them, with npm.
#
#     .ci/page-packages.sh PAGE FOLDER      PAGE: where package.json is; FOLDER: gets node_modules
#
# FOLDER/state says `yes` when they are there, else `no`: where there is no npm, or its registry does not answer, one line says so and
# the page is built without. Changed only when that changes, so that make builds anew only then.
set -euo pipefail
page=${1:?page} folder=${2:?folder}
state=no why=

mkdir -p "$folder"
if [ -e "$folder/node_modules" ] && cmp -s "$page/package-lock.json" "$folder/package-lock.json"; then
	state=yes
elif ! command -v npm >/dev/null; then
	why="there is no npm (apt-get install npm)"
else
	rm -rf "$folder/node_modules"
	cp "$page/package.json" "$page/package-lock.json" "$folder/"
	if (cd "$folder" && timeout 120 npm ci --ignore-scripts --no-audit --no-fund --omit=dev --fetch-retries=1 --loglevel=error) >"$folder/npm.log" 2>&1; then
		state=yes
		rm -f "$folder/state" # they are others now
	else
		rm -rf "$folder/node_modules"
		why="npm could not fetch its packages ($folder/npm.log)"
	fi
fi
[ -z "$why" ] || echo "the admin page is built without charts: $why"
echo "$state" | cmp -s - "$folder/state" || echo "$state" >"$folder/state"
