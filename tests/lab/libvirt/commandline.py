# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words of a command line of lab.py: arguments of methods, and calls of them."""

import json


def value(text):
    """JSON where it is JSON, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def arguments(words):
    """Positional ones and key=value ones."""
    named = dict(word.split("=", 1) for word in words if "=" in word)
    return [value(w) for w in words if "=" not in w], {k: value(v) for k, v in named.items()}


def call(lab, words):
    """[HOST.]METHOD ARGUMENT...: prints what it returns."""
    *host, method = words[0].split(".")
    positional, named = arguments(words[1:])
    answer = getattr(lab.hosts[host[0]] if host else lab, method)
    print(json.dumps(answer(*positional, **named) if callable(answer) else answer, indent=1,
                     default=str))
