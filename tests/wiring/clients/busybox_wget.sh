#!/bin/sh
# GET and POST by BusyBox wget, one line each; an error status prints nothing.
set -e
body=$(printf '%020000d' 0)
text=$(busybox wget -q -O - "$1")
echo "200 $text"
text=$(busybox wget -q -O - --post-data "$body" "$1")
echo "200 $text"
