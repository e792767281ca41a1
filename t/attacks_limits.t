# Attacks that use up memory, disk, processes, output or a compiler's time, and hostile source text.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::instance('limits');
