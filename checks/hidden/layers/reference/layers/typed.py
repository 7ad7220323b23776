_WORDS = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


def get(config, section, key, kind, default=None):
    value = config.get(section, {}).get(key)
    if value is None:
        return default
    try:
        if kind is bool:
            return _WORDS[value.lower()]
        if kind is list:
            return [part.strip() for part in value.split(",") if part.strip()]
        return kind(value)
    except (KeyError, ValueError):
        raise ValueError(f"[{section}] {key}: {value!r} is no {kind.__name__}") from None
