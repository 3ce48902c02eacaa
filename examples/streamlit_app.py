"""A Streamlit app that people enter with ConsentKeys. Its page is in streamlit_page.py, as ever.

    pip install ck-middleware 'streamlit>=1.67'
    streamlit run --server.port 8000 --server.address localhost streamlit_app.py

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback

`st.App` is what Streamlit offers to be wrapped, for `streamlit run` and for uvicorn. It is this file that is run now:
`streamlit run streamlit_page.py` would show the page to everybody, if it did not ask who is there.
"""

import streamlit as st
from starlette.middleware import Middleware

from ck_middleware.contrib.streamlit import StreamlitAuthMiddleware

# In docs/frameworks.md:
app = st.App("streamlit_page.py", middleware=[Middleware(StreamlitAuthMiddleware)])
