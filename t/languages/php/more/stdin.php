<?php
foreach (file("php://stdin", FILE_IGNORE_NEW_LINES) as $line) {
    echo ucfirst($line), "\n";
}
