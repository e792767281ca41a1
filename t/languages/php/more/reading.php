<?php
echo strrev(trim(fgets(STDIN))), "\n";
fscanf(STDIN, "%d %d", $a, $b);
echo $a + $b, "\n";
echo strlen(stream_get_contents(STDIN)), "\n";
echo $argc, " ", $argv[0], "\n";
