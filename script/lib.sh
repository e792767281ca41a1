# shellcheck shell=bash
# What script/server and script/test share. Sourced; `top` is the source tree.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
me=script/${0##*/}
umask 022 # what is built is for the workers to read as well

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "$me" "$*" >&2
	exit 1
}

# become_root ARGUMENT... - start this script again by sudo unless root runs it.
become_root() {
	[[ $EUID -ne 0 ]] || return 0
	command -v sudo >/dev/null || die "must be run as root (and there is no sudo)"
	exec sudo --preserve-env=CELLBLOCK_API_KEY,CELLBLOCK_MUST_WORK,CELLBLOCK_JOBS,CELLBLOCK_CONFIGURE,CC,CFLAGS,LDFLAGS \
		-- "$BASH" "$0" "$@"
}

# install_packages GROUP... - what script/packages lists in the groups and is missing. No network is needed when
# nothing is.
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
			sed -n 's/^installed //p' | sort -u) | tr '\n' ' ')
	[[ -n $missing ]] || return 0

	((EUID == 0)) || die "these packages are missing, and only root can install them: $missing"
	say "installing: $missing"
	command -v apt-get >/dev/null || die "there is no apt-get here; please install the packages above"
	# shellcheck disable=SC2086 # package names, one word each
	apt_install $missing || die "apt-get could not install the packages above"
}

apt_install() (
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT

	# Debian starts a daemon when its package is installed. nginx on port 80 and a second supervisord were not asked for.
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

# copy_sources DIR - bring DIR up to date with the source tree, without what git ignores and without the directories of
# instances (.instance, see script/server). The build is done in a copy because a tree in which a developer has run
# ./configure cannot be built from outside, and because two builds may run at one time.
copy_sources() {
	mkdir -p "$1"
	touch "$1/.copied"
	# .gitignore's /NAME and NAME/ are ./NAME and NAME to tar; a release may come without the file
	{ cat "$top/.gitignore" 2>/dev/null || true; } | sed -e '/^#/d' -e '/^$/d' -e 's|/$||' -e 's|^/|./|' |
		tar -C "$top" --exclude-from=- --exclude=./.git --exclude-tag-all=.instance -cf - . |
		tar -C "$1" --no-same-owner -xvf - | sort >"$1/.copied.new"
	# a test that is no longer in the tree must not be in the copy
	comm -23 "$1/.copied" "$1/.copied.new" | (cd "$1" && xargs -r -d '\n' rm -f -d -- 2>/dev/null) || true
	mv "$1/.copied.new" "$1/.copied"
}

# build DIR - bring DIR/build up to date and install it in DIR/prefix. Takes a second when nothing has changed.
# CC, CFLAGS and LDFLAGS are configure's; CELLBLOCK_CONFIGURE holds more arguments for it.
build() {
	local log=$1/log/build.log how

	mkdir -p "$1/log"
	how="$1 ${CC-} ${CFLAGS-} ${LDFLAGS-} ${CELLBLOCK_CONFIGURE-}"
	if [[ -e $1/build/Makefile && $(cat "$1/build/.configured" 2>/dev/null) != "$how" ]]; then
		rm -rf "$1/build" "$1/prefix"
	fi
	copy_sources "$1/build"
	if ! make_install "$1/build" "$1/prefix" "$how" >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		die "the build failed; all of it is in $log"
	fi
}

# make_install BUILD PREFIX HOW - one chain of && because set -e does nothing inside of an `if`
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
