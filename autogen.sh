#!/bin/sh
# Make ./configure from configure.ac and Makefile.am. For a checkout; a release tarball has it already.
set -e
cd "$(dirname "$0")"
exec autoreconf --install --force --warnings=all
