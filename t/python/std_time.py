import calendar
import datetime
import time
import zoneinfo
print(datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc).isoformat(), time.tzname, time.timezone, time.daylight)
print(datetime.datetime(2024, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).isoformat(), zoneinfo.ZoneInfo("America/New_York"))
print(time.strftime("%Y-%m-%d %A", time.gmtime(86400 * 365)), calendar.month(2024, 2), time.localtime(0).tm_hour)
print(abs(time.time() - datetime.datetime.now().timestamp()) < 5, time.monotonic() > 0, time.perf_counter() > 0, time.process_time() < 5)
print(len(zoneinfo.available_timezones()) > 100)
zoneinfo.ZoneInfo("Nowhere/Here")
