# Attacks that leave something charged to their cell, or the host busy: the next runs of another
# key.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::instance('next');
