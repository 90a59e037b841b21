"""The one frame of all HTML pages that kcert writes: self-contained, and nothing in it is loaded from elsewhere."""

from __future__ import annotations

import html

GENERATOR = '<meta name="generator" content="kcert">'
"""The mark by which kcert knows a page of its own again."""


def page(title: str, style: str, body: str, script: str = "") -> str:
    """A whole page. *title* is plain text; *body* is HTML, in which every foreign value was escaped."""
    policy = "default-src 'none'; style-src 'unsafe-inline'" + ("; script-src 'unsafe-inline'" if script else "")
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            GENERATOR,
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f"<title>{html.escape(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            body,
            *([f"<script>{script}</script>"] if script else ()),
            "</body>",
            "</html>\n",
        )
    )
