#!/bin/sh
# The tests of the core under another Node.js than the one that is installed, then a whole run:
# `npm run test:node -- 22`. The program comes from its npm package and is kept in node_modules/. Where
# it cannot be fetched this says so and skips; with CI set that is a failure.
set -eu

unset CDPATH
cd -- "$(dirname -- "$0")/.."

major=${1:-}
case $major in
'' | *[!0-9]*)
  printf 'Usage: npm run test:node -- MAJOR, for example 22; found "%s".\n' "$major" >&2
  exit 2
  ;;
esac

package=node-$(node -p 'process.platform')-$(node -p 'process.arch')
place=node_modules/.countersink-nodes/$major
program=$PWD/$place/node_modules/$package/bin/node

if [ ! -x "$program" ]; then
  mkdir -p "$place"
  if ! npm install --silent --prefix "$place" --ignore-scripts "$package@$major" >&2; then
    printf 'Node.js %s could not be fetched (npm install %s@%s).\n' "$major" "$package" "$major" >&2
    [ -z "${CI:-}" ] || exit 1
    printf 'skipped: the tests on Node.js %s\n' "$major"
    exit
  fi
fi
bin=${program%/node}
[ "$("$program" -p 'process.versions.node.split(".")[0]')" = "$major" ] || {
  printf '%s is not Node.js %s.\n' "$program" "$major" >&2
  exit 1
}

# tap and npm are run by the first node in PATH, and so is what they run.
PATH=$bin:$PATH
export PATH
printf '%s\n' "Node.js $(node --version)"
# shellcheck disable=SC2046 # no name of a test has a space
npx tap $(cd dist && find test/shared test/parser/digest test/parser/journal test/parser/sums -name '*.test.js' -printf 'dist/%p\n') \
  dist/test/integration/exact-totals.test.js

state=$(mktemp -d "${TMPDIR:-/tmp}/cs-node.XXXXXX")
trap 'rm -rf "$state"' EXIT
node dist/scripts/countersink.js up --files 2 --dir "$state/var"
