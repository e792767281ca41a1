import logging
import sys
logging.warning("root %s", "warning")
logging.info("not shown")
log = logging.getLogger("my.log")
log.addHandler(logging.StreamHandler(sys.stdout))
log.error("both")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("with a traceback")
print(logging.getLogger().handlers, logging.getLogger().level, log.getEffectiveLevel())
logging.warning("bad %d", "format")
