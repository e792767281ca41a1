# Attacks that try to reach other runs, the service, the host or the network.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::instance('reach');
