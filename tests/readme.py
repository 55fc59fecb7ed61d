#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints the only example of a language in a page: readme.py README.md c|python."""

import re
import sys


def main(path, language):
    with open(path, encoding="utf-8") as page:
        blocks = re.findall(rf"^```{language}\n(.*?)^```$", page.read(), re.M | re.S)
    if len(blocks) != 1:
        sys.exit(f"{path}: {len(blocks)} examples in {language}, not 1")
    sys.stdout.write(blocks[0])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
