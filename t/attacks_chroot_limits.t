# Attacks that use up memory, disk or processes, at level chroot.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::container('limits');
