# Attacks by output, by hostile source text, and on the compiler.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Suite;

Suite::instance('output');
