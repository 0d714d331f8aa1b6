#!/usr/bin/env bash
# Compiles the two libraries that Debian has no linkable static archive of, from Debian's own source packages:
#
#     .ci/static-libs.sh DIR        → DIR/lib/libcurl.a, DIR/lib/libcjson.a, DIR/include/{curl,cjson}/
#
# libcurl's archive wants Kerberos, which has none at all, so it is built with what the agent uses: HTTP and HTTPS over
# OpenSSL, names by c-ares (the threaded resolver stops an event loop). Debian's patches are in both sources. Sources are
# found by a list of apt's own in DIR: the machine's is not changed, and no root is needed. A second run does nothing.
set -euo pipefail
mkdir -p "${1:?usage: static-libs.sh DIR}"
dir=$(cd "$1" && pwd)
jobs=$(nproc)
epoch=${SOURCE_DATE_EPOCH:-1}
flags="-Os -g -fPIE -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"
flags="$flags -ffunction-sections -fdata-sections -ffile-prefix-map=$dir=. -fno-asynchronous-unwind-tables -fno-unwind-tables"

# The machine's Debian archives once more, as sources.
source_lists() {
	mkdir -p "$dir/apt/parts" "$dir/apt/lists/partial"
	: >"$dir/apt/sources.list"
	local file
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$file" ] && grep -E '^deb .*debian' "$file" | grep -v '//packages\.' | sed 's/^deb /deb-src /' >>"$dir/apt/sources.list" || true
	done
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -e "$file" ] && grep -q 'debian-archive-keyring' "$file" &&
			sed -E 's/^Types:.*/Types: deb-src/' "$file" >"$dir/apt/parts/$(basename "$file")" || true
	done
}

# apt_with apt-get|apt-cache WORDS…
apt_with() {
	local tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts="$dir/apt/parts" \
		-o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt" -o APT::Sandbox::User=root "$@"
}

# fetch PACKAGE: unpacks it to DIR/src/PACKAGE-VERSION. What a security suite announces but does not hold (seen) is taken
# from the suite before it.
fetch() {
	local package=$1 version
	rm -rf "$dir/src/$package"*
	mkdir -p "$dir/src"
	for version in $(apt_with apt-cache showsrc --only-source "$package" | sed -n 's/^Version: //p' | sort -rV | uniq); do
		(cd "$dir/src" && apt_with apt-get source --only-source "$package=$version") >>"$dir/log" 2>&1 && return 0
		rm -rf "$dir/src/$package"*
	done
	echo "static-libs.sh: no source of $package in this machine's Debian archives; see $dir/log" >&2
	return 1
}

build_cjson() {
	local src=$1
	mkdir -p "$dir/include/cjson" "$dir/lib"
	cp "$src/cJSON.h" "$dir/include/cjson/"
	# shellcheck disable=SC2086 # a list of flags
	gcc $flags -c "$src/cJSON.c" -o "$dir/cJSON.o"
	rm -f "$dir/lib/libcjson.a"
	ar rcsD "$dir/lib/libcjson.a" "$dir/cJSON.o"
}

build_curl() {
	cd "$1"
	SOURCE_DATE_EPOCH=$epoch ./configure CFLAGS="$flags" --prefix="$dir" --disable-shared --enable-static --enable-ares --with-openssl \
		--with-zlib --without-nghttp2 --enable-unix-sockets --without-brotli --without-zstd --without-libidn2 \
		--without-libpsl --without-librtmp --without-libssh2 --without-ca-path \
		--with-ca-bundle=/etc/ssl/certs/ca-certificates.crt --disable-ldap --disable-ldaps --disable-ftp --disable-file \
		--disable-dict --disable-telnet --disable-tftp --disable-pop3 --disable-imap --disable-smb --disable-smtp \
		--disable-gopher --disable-mqtt --disable-rtsp --disable-ntlm --disable-tls-srp --disable-alt-svc --disable-hsts \
		--disable-doh --disable-netrc --disable-manual --disable-libcurl-option --disable-dependency-tracking
	make -j"$jobs" -C lib install
	make -C include install
}

if [ -e "$dir/done" ] && cmp -s "$0" "$dir/done"; then
	exit 0
fi
rm -f "$dir/log"
source_lists
echo "fetching the sources of curl and cjson"
apt_with apt-get update >>"$dir/log" 2>&1 || { tail -3 "$dir/log" >&2; exit 1; }
fetch cjson
fetch curl
echo "compiling a libcurl of HTTP and HTTPS alone, and cJSON"
build_cjson "$(echo "$dir"/src/cjson-*/)" >>"$dir/log" 2>&1
(build_curl "$(echo "$dir"/src/curl-*/)") >>"$dir/log" 2>&1 || { tail -20 "$dir/log" >&2; exit 1; }
rm -rf "$dir/src" "$dir/apt" "$dir/cJSON.o"
cp "$0" "$dir/done"
