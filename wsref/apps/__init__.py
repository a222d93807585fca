"""Small applications: what ``python -m wsref`` serves, and ``page.html``, the client in the browser.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
demo              10        an echo and a chat
panel             6         the page's wire panel: a connection as the server saw it
exchange          12        one order of lines for many servers, on Redis Streams
shared_chat       12        the chat over it
running                     a server in the background: the reference, or a step
================  ========  ==============================================================
"""
