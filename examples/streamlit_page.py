"""The page of streamlit_app.py."""

import streamlit as st

from ck_middleware.contrib.streamlit import current_user

# In docs/frameworks.md:
st.title("Welcome!")
st.text(current_user().display_name)
st.link_button("Sign out", "/auth/logout")
