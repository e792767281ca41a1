# A code node of Dify as its client sends it: the user's code, and below it the client's wrapper.
import re


def main(text: str, limit: int) -> dict:
    words = re.findall(r"\w+", text.lower())
    count = {}
    for word in words:
        count[word] = count.get(word, 0) + 1
    ranked = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    return {"words": len(words), "most_common": [{"word": word, "count": n} for word, n in ranked[:limit]]}


import json
from base64 import b64decode

inputs = json.loads(b64decode(
    "eyJ0ZXh0IjogIlRoZSBxdWljayBicm93biBmb3gganVtcHMgb3ZlciB0aGUgbGF6eSBkb2cuIFRoZSBkb2cgc2xlZXBzOyB0aGUgZm94IGRvZXMg"
    "bm90LiIsICJsaW1pdCI6IDN9"
).decode("utf-8"))
output = main(**inputs)
output_json = json.dumps(output, indent=4)
print(f"<<RESULT>>{output_json}<<RESULT>>")
