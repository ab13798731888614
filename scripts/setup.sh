#!/bin/sh
# What `npm start` and `npm test` need and a clone lacks: the locked packages, the build and a
# MariaDB server program. Each step looks first whether it has anything to do; when none has, this
# prints nothing and takes a few hundredths of a second. By hand: `npm run setup`. With --build, as npm
# runs it before it packs, links or installs this package: the build alone. With --test, before `npm run test:operating`:
# where CI is set, also the system's programs that some tests need, which they leave out elsewhere; with
# --page, before `npm run test:page`, a browser in the same way.
#
# A run that is killed leaves either no stamp (the step is done again) or a finished step.
set -eu

unset CDPATH
cd -- "$(dirname -- "$0")/.."

rooms='generator parser shared scripts test'
program=dist/scripts/countersink.js
kernel=dist/parser/kernel/assembly/sums.wasm
manual=dist/countersink.1
page=dist/scripts/serving/page
types=dist/scripts/library/index.d.ts
link=node_modules/.bin/countersink
packages_stamp=node_modules/.countersink-packages
build_stamp=dist/.countersink-build

say() { printf 'countersink: %s\n' "$*"; }
refuse() { printf 'countersink: %s\n' "$*" >&2; exit 1; }

# Runs a command and shows what it printed only if it fails.
quietly() {
  "$@" >"$output" 2>&1 </dev/null && return
  cat -- "$output" >&2
  return 1
}

check_node() {
  version=$(node --version 2>/dev/null) || refuse 'Node.js 20.15 or newer is needed; there is none in PATH.'
  major=${version#v} minor=${version#v*.}
  major=${major%%.*} minor=${minor%%.*}
  [ "$major" -gt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -ge 15 ]; } ||
    refuse "Node.js 20.15 or newer is needed; this is $version."
}

# What the installed packages depend on. Of package.json everything but its version and scripts,
# whose changes need no other packages; and the machine, in case node_modules was carried here.
packages_wanted() {
  {
    cat package-lock.json
    sed -e '/"scripts": {/,/}/d' -e '/"version":/d' package.json
    uname -sm
  } | cksum
}

packages_are_there() {
  [ -f "$packages_stamp" ] && [ "$(cat "$packages_stamp")" = "$(packages_wanted)" ]
}

install_packages() {
  say 'installing the locked packages ...'
  # The compiler and the test runner are needed whatever NODE_ENV says. No package's own scripts run:
  # the native parts of lmdb and msgpackr come built, in packages of their own.
  quietly npm ci --ignore-scripts --include=dev --include=optional || refuse 'the packages could not be installed (npm ci, above).'
  packages_wanted >"$packages_stamp"
  rm -f "$build_stamp"
}

# Directories count as well: theirs is the time that changes when a source is removed, or moved in
# with an old time of its own.
build_is_there() {
  [ -f "$build_stamp" ] && [ -x "$program" ] && [ -x "$link" ] && [ -f "$kernel" ] &&
    [ -f "$manual" ] && [ -f "$types" ] && [ -f "$page/page.js" ] && [ -f "$page/uPlot.iife.min.js" ] &&
    # shellcheck disable=SC2086 # the rooms are words
    [ -z "$(find $rooms tsconfig.json \
      \( -name '*.ts' -o -name tsconfig.json -o -path '*/page/*.*' -o -type d \) -newer "$build_stamp" | head -n 1)" ]
}

build() {
  say 'building ...'
  # The compiler leaves out what it remembers to have written.
  [ -f "$program" ] || rm -f dist/.tsbuildinfo
  # Stamped with the time before the build, so that an edit during it is seen by the next run.
  : >"$build_stamp.begun"
  quietly node_modules/.bin/tsc -p . || refuse 'the build failed (tsc, above).'
  [ -f "$program" ] || refuse "the build made no $program."
  quietly npm run --silent build:types || refuse 'the build made no types of the library (tsc, above).'
  quietly npm run --silent build:kernel || refuse 'the build failed (asc, above).'
  quietly npm run --silent build:man || refuse 'the build made no manual page (above).'
  # What a removed source has left behind could still be imported.
  find dist -name '*.js' | while IFS= read -r built; do
    source=${built#dist/}
    [ -f "${source%.js}.ts" ] || rm -f "$built" "$built.map"
  done
  # After that: what it copies has no source here.
  quietly npm run --silent build:page || refuse 'the build made no page (above).'
  # npm links the programs of dependencies, not a package's own; this makes `npx countersink` work.
  chmod +x "$program"
  ln -sf "../../$program" "$link"
  mv "$build_stamp.begun" "$build_stamp"
}

# The same places as in scripts/mariadb/mariadb-bootstrap.ts.
mariadbd_is_there() {
  if [ -n "${COUNTERSINK_MARIADBD:-}" ]; then
    [ -x "$COUNTERSINK_MARIADBD" ] ||
      refuse "COUNTERSINK_MARIADBD names $COUNTERSINK_MARIADBD, which is not a program."
    return
  fi
  command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] ||
    [ -x /usr/local/sbin/mariadbd ] || [ -x /usr/libexec/mariadbd ]
}

# A database of one's own needs no server program here.
mariadbd_is_settled() { [ -n "${COUNTERSINK_DATABASE_URL:-}" ] || mariadbd_is_there; }

install_mariadbd() {
  install_package mariadb-server-core 'a MariaDB server program (mariadbd) is needed' \
    'set COUNTERSINK_DATABASE_URL to use a database of yours'
  mariadbd_is_there || refuse 'mariadb-server-core was installed, and there is still no mariadbd.'
}

# Which of Debian's packages the tests lack here.
packages_for_tests() {
  if [ -n "$for_page" ]; then
    command -v chromium >/dev/null || echo chromium
  fi
  [ -n "$for_tests" ] || return 0
  command -v systemd-analyze >/dev/null || echo systemd
  command -v mariadb-dump >/dev/null || echo mariadb-client
  command -v openssl >/dev/null || echo openssl
  command -v curl >/dev/null || echo curl
  # It brings promtool, which Debian has in no package of its own.
  command -v promtool >/dev/null || echo prometheus
}

install_for_tests() {
  for package in $(packages_for_tests); do
    install_package "$package" "$package is needed by tests" 'run the tests without CI set'
  done
}

# install_package PACKAGE WHY OTHERWISE: of Debian's.
install_package() {
  command -v apt-get >/dev/null || refuse "$2: install your system's package for it, or $3."
  if [ "$(id -u)" -eq 0 ]; then
    as_root=
  elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  else
    refuse "$2: run 'sudo apt-get install --no-install-recommends $1', or $3."
  fi
  say "$2; installing Debian's $1 (no service is started, nothing is removed) ..."
  if ! apt_get install "$1" >"$output" 2>&1 </dev/null; then
    say 'refreshing the package lists first ...'
    quietly apt_get update || refuse 'the package lists could not be refreshed (apt-get, above).'
    quietly apt_get install "$1" || refuse "$1 could not be installed (apt-get, above)."
  fi
}

apt_get() {
  case $1 in
  install) set -- install -y --no-remove --no-install-recommends "$2" ;;
  esac
  # shellcheck disable=SC2086 # empty, or two words
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# One set-up at a time. The kernel frees the lock when the last process that holds it has ended,
# this one and what it runs: there is no stale lock to reason about.
wait_for_turn() {
  mkdir -p dist
  command -v flock >/dev/null || return 0
  exec 9>dist/.countersink-setup-lock
  flock -n 9 && return
  say 'waiting for another set-up that is under way ...'
  flock 9
}

check_node
build_only= for_tests= for_page=
case ${1:-} in
'') ;;
--build) build_only=yes ;;
--test) for_tests=${CI:-} ;;
--page) for_page=${CI:-} ;;
*) refuse "$1 is not known here; there are --build, --test and --page." ;;
esac
if [ -n "$build_only" ]; then
  # npm has just installed what it was told to, perhaps without what builds; only before it packs or
  # links has it not.
  case ${npm_command:-} in
  pack | publish | link) ;;
  *)
    [ -x node_modules/.bin/tsc ] || exit 0
    packages_are_there() { :; }
    ;;
  esac
  mariadbd_is_settled() { :; }
  mariadbd_is_there() { :; }
fi
packages_are_there && build_is_there && mariadbd_is_settled && [ -z "$(packages_for_tests)" ] && exit

wait_for_turn
output=$(mktemp)
trap 'rm -f "$output"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
packages_are_there || install_packages
build_is_there || build
mariadbd_is_settled || install_mariadbd
install_for_tests
mariadbd_is_there ||
  say 'note: there is no mariadbd here; COUNTERSINK_DATABASE_URL is set, so none is needed to start.'
