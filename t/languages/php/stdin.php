<?php
while (($line = fgets(STDIN)) !== false) {
    echo strtoupper($line);
}
