"""Small applications: what ``python -m wsref`` serves, and ``page.html``, the client in the browser.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
demo              10        an echo and a chat
panel             6         the page's wire panel: a connection as the server saw it
running                     a server in the background: the reference, or a step
================  ========  ==============================================================
"""
