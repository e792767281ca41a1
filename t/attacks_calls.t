# Attacks by single system calls (t/attacks/cases/system.calls).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::instance('calls');
