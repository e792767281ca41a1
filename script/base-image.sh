# shellcheck shell=bash
# base-image.sh - a base image of Debian by debootstrap, because there may be no registry of images.
# For script/test-image and script/test-deb.

# make_base SUITE - make localhost/cellblock-base:SUITE, unless it exists
make_base() {
	local root suite=$1

	! podman image exists "localhost/cellblock-base:$suite" || return 0
	root=$(mktemp -d)
	say "making a base image of $suite by debootstrap"
	debootstrap --variant=minbase "$suite" "$root" >"$root.log" 2>&1 || {
		tail -n 20 "$root.log" >&2
		die "debootstrap failed"
	}
	rm -rf "$root"/var/cache/apt/archives/*.deb
	tar -C "$root" -c . | podman import - "localhost/cellblock-base:$suite" >/dev/null
	rm -rf "$root" "$root.log"
}
