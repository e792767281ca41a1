# A template node of Dify as its client sends it.
def main(**inputs):
    import jinja2

    template = jinja2.Template(
        "Dear {{ name }},\n{% for item in items %}{{ loop.index }}. {{ item.title | upper }}: "
        "{{ '%.2f' | format(item.price) }}\n{% else %}nothing\n{% endfor %}In all: {{ items | sum(attribute='price') }}"
    )
    return template.render(**inputs)


import json
from base64 import b64decode

inputs = json.loads(b64decode(
    "eyJuYW1lIjogIkFkYSIsICJpdGVtcyI6IFt7InRpdGxlIjogInRlYSIsICJwcmljZSI6IDIuNX0sIHsidGl0bGUiOiAiY2FrZSIsICJwcmljZSI6"
    "IDQuMjV9XX0="
).decode("utf-8"))
print(f"<<RESULT>>{main(**inputs)}<<RESULT>>")
