# Attacks that use up memory, disk or processes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::instance('limits');
