import json


def route(store, method, path, body):
    parts = path.strip("/").split("/")
    if parts == ["notes"]:
        if method == "GET":
            return 200, [{"id": id, "text": text} for id, text in sorted(store.all().items())]
        if method == "POST":
            return _add(store, body)
        return 405, {"error": f"{method} is not possible here"}
    if len(parts) == 2 and parts[0] == "notes":
        if method not in ("GET", "DELETE"):
            return 405, {"error": f"{method} is not possible here"}
        return _one(store, method, parts[1])
    return 404, {"error": "there is nothing here"}


def _add(store, body):
    try:
        return 201, {"id": store.add(json.loads(body)["text"])}
    except (ValueError, TypeError, KeyError) as error:
        return 400, {"error": str(error)}


def _one(store, method, id):
    try:
        text = store.get(int(id))
        if method == "GET":
            return 200, {"id": int(id), "text": text}
        store.delete(int(id))
        return 200, {}
    except (KeyError, ValueError):
        return 404, {"error": f"there is no note {id}"}
