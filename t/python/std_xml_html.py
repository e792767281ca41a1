import base64
import email.message
import html
import struct
import urllib.parse
import xml.etree.ElementTree as ET
print(ET.tostring(ET.fromstring("<a b='1'><c>é</c></a>")), html.escape("<&>"), urllib.parse.quote("ä/ b"), urllib.parse.urlparse("http://u@h:1/p?q#f"))
m = email.message.EmailMessage()
m["Subject"] = "hé"
m.set_content("text")
print(m.as_string(), base64.b64encode(b"\xff" * 5), struct.pack("<iHd", 1, 2, 3.5))
ET.fromstring("<a>")
