fail <- function(why) {
	stop(why)
}
fail("boom")
