# Attacks by single system calls, at level chroot.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::container('calls');
