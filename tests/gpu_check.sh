#!/bin/sh
# What a GPU is to show, in four minutes or less: the tests that need one, every network's speed (float32, bf16 and fp16,
# inference and training; a csv in results/bench), and own video from file to file with the weights in the box.
#
#   tests/gpu_check.sh                          on the GPU
#   DEVICE=cpu SIZE=64x64 tests/gpu_check.sh    the same without one; the other variables are below
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-.venv/bin/python}
device=${DEVICE:-cuda}
size=${SIZE:-448x256}
tests=${TESTS:-tests}
bench=${BENCH:---types float32 bf16 fp16 --repeats 2}
clip=${CLIP:-datasets/real/butterfly_00.mp4}
output=${OUTPUT:-results/bench}
videos=$(mktemp -d)
trap 'rm -rf "$videos"' EXIT
failed=0

part() {  # seconds that it may take, what it is, the command
    limit=$1 name=$2 began=$(date +%s)
    shift 2
    timeout "$limit" "$@" || { echo "FAILED: $name"; failed=1; }
    echo "$name: $(($(date +%s) - began)) s"
}

# shellcheck disable=SC2086  # lists of words
part 60 "tests" "$python" -m pytest -q -m gpu -p no:cacheprovider $tests
part 110 "bench" "$python" -m common.bench --device "$device" --size "$size" --layouts default \
    --modes inference training --output "$output" $bench
part 20 "ifrnet" "$python" -m ifrnet --device "$device" --input "$clip" --output "$videos/ifrnet.mp4" --multi 2
part 25 "tdan" "$python" -m tdan --device "$device" --input "$clip" --output "$videos/tdan.mp4"
part 25 "toflow" "$python" -m toflow --task denoise --device "$device" --input "$clip" --output "$videos/toflow.mp4"
exit $failed
