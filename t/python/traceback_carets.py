values = {"a": {"b": None}}
print("before")
result = values["a"]["b"]["c"] + values["a"]["x"] * 2
