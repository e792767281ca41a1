# Attacks that try to reach other runs, the service, the host or the network, at level chroot.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::container('reach');
