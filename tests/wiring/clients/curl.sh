#!/bin/sh
# GET and POST by curl, one line each. -q: no ~/.curlrc; --fail: an error status prints nothing.
set -e
body=$(printf '%020000d' 0)
for post in "" "--data"; do
	text=$(curl -q -sS --fail ${post:+"$post" "$body"} "$1")
	echo "200 $text"
done
