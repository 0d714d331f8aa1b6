#!/usr/bin/env bash
# Installs the Debian packages of the named groups that are missing; says nothing when all are there.
#
#     .ci/deps.sh build static page check bench demo interop browser swarm fuzz lint
#
# As root directly, else through sudo. Groups are what the Makefile's targets need.
set -euo pipefail

packages() {
	case "$1" in
	build) echo gcc libc6-dev make pkg-config libevent-dev libc-ares-dev libcjson-dev libssl-dev libhiredis-dev libyaml-dev \
		libcurl4-openssl-dev librabbitmq-dev libseccomp-dev zlib1g-dev python3 ;;
	page) echo npm ;;
	check) echo check python3 libc6-dev openssl redis-server rabbitmq-server tmux mandoc rsyslog ;;
	bench) echo gcc libc6-dev python3 nginx-light haproxy ;;
	demo) echo python3 ;;
	interop) echo python3 maven default-jdk-headless git redis-server rabbitmq-server prometheus ;;
	browser) echo chromium-headless-shell ;;
	static) echo gcc libc6-dev make dpkg-dev zlib1g-dev libc-ares-dev libevent-dev libssl-dev libhiredis-dev libyaml-dev librabbitmq-dev \
		libseccomp-dev ca-certificates python3 ;;
	swarm) echo python3 curl docker.io iproute2 iptables busybox-static redis-server prometheus ;;
	fuzz) echo clang libclang-rt-14-dev ;;
	lint) echo clang clang-tidy clang-format shellcheck python3 universal-ctags ;;
	*)
		echo "deps.sh: no group '$1' (build, static, page, check, bench, demo, interop, browser, swarm, fuzz, lint)" >&2
		return 2
		;;
	esac
}

# A package is there when dpkg says so, or when another one provides what it is wanted for.
is_there() {
	case "$1" in
	pkg-config) command -v pkg-config >/dev/null && return 0 ;;
	npm) command -v npm >/dev/null && return 0 ;; # Node's own package brings it too
	chromium-headless-shell) command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null && return 0 ;;
	nginx-light) command -v nginx >/dev/null && return 0 ;;
	libclang-rt-14-dev) # its number follows clang's, so the file is asked for instead
		command -v clang >/dev/null && [ -e "$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a)" ] && return 0
		compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a' >/dev/null && return 0
		;;
	esac
	dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

# The runtime of libFuzzer carries clang's version in its name on Debian.
resolve() {
	if [ "$1" = libclang-rt-14-dev ]; then
		apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' | head -1
	else
		echo "$1"
	fi
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps.sh: not a Debian machine; install what 'packages' in .ci/deps.sh lists by hand" >&2
	exit 0
fi

# A parallel make asks for several groups at once: one after the other, and each looks again at what is missing.
if command -v flock >/dev/null; then
	exec 9>"${TMPDIR:-/tmp}/outrider-deps.$(id -u).lock"
	flock -w 900 9
fi

missing=()
for group in "$@"; do
	for package in $(packages "$group"); do
		is_there "$package" || missing+=("$package")
	done
done
if [ "${#missing[@]}" -eq 0 ]; then
	exit 0
fi

mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
	echo "deps.sh: these packages are missing, and there is no sudo: ${missing[*]}" >&2
	exit 1
fi
echo "installing Debian packages: ${missing[*]}"

# Two makes that run at once must not fight over dpkg's lock: apt waits for it.
as_root apt-get -q -o DPkg::Lock::Timeout=300 update >/dev/null
names=()
for package in "${missing[@]}"; do
	names+=("$(resolve "$package")")
done
# Servers are wanted as programs only: while they are installed, no service may start and take a port.
policy=/usr/sbin/policy-rc.d
if [[ " ${names[*]} " =~ \ (nginx-light|haproxy|redis-server|rabbitmq-server|prometheus)\  ]] && [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 0755 "$policy"
	trap 'as_root rm -f "$policy"' EXIT
fi
as_root apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "${names[@]}" \
	>/dev/null
echo "installed"
