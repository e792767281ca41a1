# shellcheck shell=bash
# Functions for script/*. Sourced; `top` is the source tree.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
me=script/${0##*/}
umask 022 # the workers read the build, too

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "$me" "$*" >&2
	exit 1
}

# become_root ARGUMENT... - unless root runs this script, start it again by sudo.
become_root() {
	[[ $EUID -ne 0 ]] || return 0
	command -v sudo >/dev/null || die "run this as root; sudo is not installed"
	exec sudo --preserve-env=CELLBLOCK_API_KEY,CELLBLOCK_MUST_WORK,CELLBLOCK_JOBS,CELLBLOCK_CONFIGURE,CC,CFLAGS,LDFLAGS \
		-- "$BASH" "$0" "$@"
}

# install_packages GROUP... - install the packages that script/packages lists in the groups, if one
# is missing. Without a missing package it needs no network.
install_packages() {
	local wanted=() missing group of package file

	for group in "$@"; do
		while read -r of package file; do
			if [[ $of == "$group" && ! (-n $file && -e $file) ]]; then
				wanted+=("$package")
			fi
		done <"$top/script/packages"
	done
	missing=$(comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) \
		<(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
			sed -n -E 's/^(installed|triggers-(pending|awaited)) //p' | sort -u) | tr '\n' ' ')
	[[ -n $missing ]] || return 0

	((EUID == 0)) || die "these packages are missing, and only root can install them: $missing"
	# shellcheck disable=SC2086 # package names, one word each
	set -- $missing
	say "installing $# packages by apt-get, which takes a minute or more: $missing"
	command -v apt-get >/dev/null || die "apt-get is not available here; install the packages above by other means"
	# shellcheck disable=SC2086 # package names, one word each
	apt_install $missing || die "apt-get could not install the packages above"
}

apt_install() (
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT

	# Debian starts a daemon when its package is installed. We want neither nginx on port 80 nor
	# a second supervisord.
	policy=/usr/sbin/policy-rc.d
	if [[ ! -e $policy ]]; then
		trap 'rm -f "$log" "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi

	if ! { apt-get -q -o DPkg::Lock::Timeout=120 update &&
		apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		return 1
	fi
)

# copy_sources DIR - bring DIR up to date with the source tree, without the files that git ignores
# and without the directories of instances (.instance, see script/server). The build is done in a
# copy for two reasons: a tree in which a developer has run ./configure cannot be built from
# outside, and two builds may run at the same time.
copy_sources() {
	mkdir -p "$1"
	touch "$1/.copied"
	# tar writes .gitignore's /NAME and NAME/ as ./NAME and NAME; a release tarball may lack the
	# file
	{ cat "$top/.gitignore" 2>/dev/null || true; } | sed -e '/^#/d' -e '/^$/d' -e 's|/$||' -e 's|^/|./|' |
		tar -C "$top" --exclude-from=- --exclude=./.git --exclude-tag-all=.instance -cf - . |
		tar -C "$1" --no-same-owner -xvf - | sort >"$1/.copied.new"
	# remove from the copy a test that is no longer in the tree
	comm -23 "$1/.copied" "$1/.copied.new" | (cd "$1" && xargs -r -d '\n' rm -f -d -- 2>/dev/null) || true
	mv "$1/.copied.new" "$1/.copied"
}

# build DIR - bring DIR/build up to date and install it in DIR/prefix. It takes a second if nothing
# has changed. configure gets CC, CFLAGS and LDFLAGS from the environment, and CELLBLOCK_CONFIGURE
# as more arguments.
build() {
	local log=$1/log/build.log how

	mkdir -p "$1/log"
	how="$1 ${CC-} ${CFLAGS-} ${LDFLAGS-} ${CELLBLOCK_CONFIGURE-}"
	if [[ -e $1/build/Makefile && $(cat "$1/build/.configured" 2>/dev/null) != "$how" ]]; then
		rm -rf "$1/build" "$1/prefix"
	fi
	if [[ -e $1/build/Makefile ]]; then
		say "building in $1/build (log: $log)"
	else
		say "building in $1/build, which takes a minute the first time (log: $log)"
	fi
	copy_sources "$1/build"
	if ! make_install "$1/build" "$1/prefix" "$how" >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		die "the build failed; the whole output is in $log"
	fi
}

# make_install BUILD PREFIX HOW - configure, build and install. It is one chain of && because set -e
# has no effect inside an `if`.
# shellcheck disable=SC2086 # CELLBLOCK_CONFIGURE is a list of arguments
make_install() (
	cd "$1" &&
		if [[ ! -e Makefile ]]; then
			{ [[ -e configure ]] || ./autogen.sh; } &&
				./configure --prefix="$2" --sysconfdir="$2/etc" ${CELLBLOCK_CONFIGURE-} &&
				printf '%s\n' "$3" >.configured
		fi &&
		make -j "$(nproc)" &&
		make install
)
