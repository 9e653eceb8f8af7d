#!/usr/bin/env bash
# Builds the native core with GCC's address and undefined-behaviour sanitizers and runs the kernels' tests on each
# instruction set that the processor has. An access outside of an array or an overflow stops the run with its line.
# The argument is the share of the drawn cases that the tests try, from 0 to 1. With less than 1 the tests that compare
# all instruction sets visit the lower ones, and the other tests run on the highest alone.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
place=$PWD/build/sanitized
export RUBRICA_EXAMPLES=${1:-1}

rm -rf "$place"
RUBRICA_SANITIZE=1 RUBRICA_KERNELS=native $python -m pip install --quiet --no-deps --target "$place" .

# With malloc of its own for every object, Python's too, a read behind the end of a text is seen. Python never frees
# all of its memory, so leaks are not looked for.
export PYTHONPATH=$place PYTHONMALLOC=malloc RUBRICA_KERNELS=native ASAN_OPTIONS=detect_leaks=0
sanitized() { LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" $python "$@"; }

# Where memory is refused, the sanitizer ends the process before the core's own error.
again=(--deselect tests/kernels/test_border.py::test_too_little_memory_is_an_error_not_the_end)
for library in $(printf '%s\n' "$place"/rubrica/kernels/librubrica-*.so | sort --reverse); do
  level=$(basename "$library" .so)
  live=$(sanitized -c 'from rubrica.kernels import native; print(native.describe())')
  if [[ $live == *"(${level#librubrica-}, sanitized)"* ]]; then
    echo "$live"
    sanitized -m pytest -n auto -q --capture=sys -p no:cacheprovider tests/kernels tests/text/test_tokens.py "${again[@]}"
    # Slow, and once is enough: tokens have no vectors, and what compares all levels has begun with the highest.
    again+=(--deselect tests/text/test_tokens.py -k "not every_instruction_set")
    [[ $RUBRICA_EXAMPLES == 1 ]] || break
  else
    echo "$library: not for this processor"
  fi
  rm "$library"  # so that the next lower one is the best
done
[[ $live == *sanitized* ]]
echo "sanitizers: clean"
