#!/usr/bin/env bash
# Runs one libFuzzer target: its regressions and seeds once, then for a time.
#
#     .ci/fuzz.sh build/fuzz/fuzz_NAME SECONDS
#
# Seeds are tests/fuzz/seeds/NAME/, regressions (inputs that once failed) tests/fuzz/regression/NAME/. Where
# the folder SHARED_DATA has public corpora as tarballs, those that fit the target join the seeds. What the
# fuzzer finds goes to build/fuzz/corpus/NAME/ and build/fuzz/found/NAME/.
set -euo pipefail

target=$1
seconds=$2
name=$(basename "$target")
name=${name#fuzz_}
build=$(dirname "$target")
corpus=$build/corpus/$name
found=$build/found/$name
shared=$build/shared
mkdir -p "$corpus" "$found" "$shared"

# Folders inside the tarballs that make sense for a target, by what its name says.
wanted() {
	case "$1" in
	*response*) echo 'llhttp/test/response' ;;
	*request* | *chunk* | *h1* | *head* | *exchange*) echo 'h2o/fuzz/http1-corpus llhttp/test/request' ;;
	*target* | *url* | *authority* | *path* | *route*) echo 'h2o/fuzz/url-corpus' ;;
	*h2*) echo 'h2o/fuzz/http2-corpus' ;;
	esac
}

# Others of its kind may unpack the same at the same time.
exec 9>"$shared/.lock"
flock 9
folders=()
for folder in "tests/fuzz/seeds/$name" "tests/fuzz/regression/$name"; do
	[ -d "$folder" ] && folders+=("$folder")
done
for inside in $(wanted "$name"); do
	if [ ! -d "$shared/$inside" ]; then
		for tarball in "${SHARED_DATA:-../shared/data}"/"${inside%%/*}"-*.tar.gz; do
			[ -f "$tarball" ] && tar -xzf "$tarball" -C "$shared" --no-same-owner --wildcards "$inside/*"
		done
	fi
	[ -d "$shared/$inside" ] && folders+=("$shared/$inside")
done

exec 9>&-

options=(-timeout=10 -rss_limit_mb=2048 -max_len=70000 -artifact_prefix="$found/" -print_final_stats=0 -verbosity=0)
dict=tests/fuzz/$name.dict
[ -f "$dict" ] && options+=(-dict="$dict")

# First every regression by itself: a name that fails is worth more than a crash somewhere in a corpus.
passed=0
for input in "tests/fuzz/regression/$name"/*; do
	[ -f "$input" ] || continue
	if ! "$target" "${options[@]}" "$input" >"$build/$name.log" 2>&1; then
		cat "$build/$name.log"
		echo "FAIL $name: regression $input"
		exit 1
	fi
	passed=$((passed + 1))
done

if ! "$target" "${options[@]}" -max_total_time="$seconds" "$corpus" "${folders[@]}" >"$build/$name.log" 2>&1; then
	tail -60 "$build/$name.log"
	echo "FAIL $name: the input is in $found; fix it, then keep it in tests/fuzz/regression/$name"
	exit 1
fi
echo "ok $name: $passed regressions, $(find "$corpus" "${folders[@]}" -type f | wc -l) inputs, ${seconds} s"
