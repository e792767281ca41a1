# Attacks that use up memory, disk, processes, output or a compiler's time, at level chroot.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::container('limits');
