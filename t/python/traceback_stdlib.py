# Frames in an imported module of the standard library, with its source lines.
import json
json.loads('{"a": nope}')
