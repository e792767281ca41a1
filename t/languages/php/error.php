<?php
function fail()
{
    throw new RuntimeException("boom");
}

fail();
