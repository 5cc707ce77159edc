"""Mend what docutils and the theme write that a keyboard or a screen reader stumbles over.

A table that is wider than the page scrolls inside a box, which must take the focus so that arrow
keys can move it. A list of citations says that it is a list, but its entries are no list items.
"""

MENDED = {
    '<div class="pst-scrollable-table-container">': (
        '<div class="pst-scrollable-table-container" role="region" aria-label="Table" tabindex="0">'
    ),
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}


def mend(app, pagename, templatename, context, doctree):
    """Replace the tags in the body of a page."""
    for given, wanted in MENDED.items():
        if given in context.get("body", ""):
            context["body"] = context["body"].replace(given, wanted)


def setup(app):
    """Register the step."""
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
