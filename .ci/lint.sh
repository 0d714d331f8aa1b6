#!/usr/bin/env bash
# What `make lint` does; one line `ok`, `skip` or `FAIL` for each step.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

# step NAME COMMAND…: silent when it passes.
step() {
	local name=$1
	shift
	if "$@" >"$log" 2>&1; then
		echo "ok $name"
	else
		failed=1
		head -60 "$log"
		echo "FAIL $name"
	fi
}

mapfile -t sources < <(find agent plugins -name '*.c' 2>/dev/null | sort)
mapfile -t headers < <(find agent plugins -name '*.h' ! -name banned.h 2>/dev/null | sort)
mapfile -t scripts < <(grep -rlE '^#!.*\b(bash|sh)$' .ci deploy tests Makefile 2>/dev/null | sort)
mapfile -t pythons < <(
	{
		find tests deploy .ci -name '*.py'
		grep -rlE '^#!.*python3' tests deploy .ci
	} 2>/dev/null | sort -u
)

read -r -a packages <<<"${AGENT_PACKAGES:-libevent_core libcares libcjson}"
libraries=$(pkg-config --cflags "${packages[@]}")
read -r -a flags <<<"-std=c17 -Iagent -D_GNU_SOURCE $libraries"
warnings=(-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror)

# Runs a command for each file, as many at once as there are CPUs; fails when one fails.
each() {
	local -n files=$1
	shift
	printf '%s\0' "${files[@]}" | xargs -0 -r -n 8 -P "$(nproc)" "$@"
}

# A header must compile alone, whatever stands before it.
header_alone() {
	for header in "${headers[@]}"; do
		"$1" "${flags[@]}" "${warnings[@]}" -fsyntax-only -x c - <<<"#include \"${header#agent/}\"" || return 1
	done
}

python_syntax() {
	python3 - "${pythons[@]}" <<-'END'
		import ast, sys
		for path in sys.argv[1:]:
		    with open(path, encoding="utf-8") as f:
		        ast.parse(f.read(), path)
	END
}

syntax() {
	each sources "$1" "${flags[@]}" "${warnings[@]}" -include agent/base/banned.h -fsyntax-only
}

tidy() {
	local checks='-*,bugprone-*,clang-analyzer-core.*,clang-analyzer-unix.*,clang-analyzer-deadcode.*'
	checks+=',-bugprone-easily-swappable-parameters,-bugprone-assignment-in-if-condition'
	checks+=',-bugprone-narrowing-conversions,-bugprone-reserved-identifier,-bugprone-macro-parentheses'
	checks+=',-bugprone-branch-clone,-bugprone-implicit-widening-of-multiplication-result'
	checks+=',-bugprone-sizeof-expression,-bugprone-suspicious-include,-bugprone-not-null-terminated-result'
	printf '%s\n' "${sources[@]}" | xargs -r -P "$(nproc)" -I{} clang-tidy --quiet --warnings-as-errors='*' \
		--checks="$checks" {} -- "${flags[@]}" 2>/dev/null | sed -n '/: \(error\|warning\):/p'
}

step "gcc, all warnings (${#sources[@]} files)" syntax gcc
step "clang, all warnings" syntax clang
step "headers compile alone (${#headers[@]})" header_alone gcc
step "python syntax (${#pythons[@]} files)" python_syntax
if command -v shellcheck >/dev/null; then
	step "shellcheck (${#scripts[@]} scripts)" shellcheck -S warning "${scripts[@]}"
else
	echo "skip shellcheck: not installed"
fi
if command -v clang-tidy >/dev/null; then
	step "clang-tidy" tidy
else
	echo "skip clang-tidy: not installed"
fi
exit "$failed"
