"""A Gradio app that people enter with ConsentKeys.

    pip install ck-middleware gradio
    uvicorn --host localhost --port 8000 gradio_app:app

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback

`demo.launch()` makes a server of its own, which cannot be wrapped. `mount_gradio_app` is Gradio's way into another app.
"""

import gradio as gr
from fastapi import FastAPI

from ck_middleware import ASGIAuthMiddleware, get_user


# In docs/frameworks.md:
def greet(request: gr.Request) -> str:
    return f"Welcome, {get_user(request.request).display_name}!"


with gr.Blocks() as demo:
    title = gr.Textbox(label="Greeting")
    demo.load(greet, None, title)
    gr.Button("Sign out", link="/auth/logout")

# In docs/frameworks.md:
app = FastAPI()
app.add_middleware(ASGIAuthMiddleware)
gr.mount_gradio_app(app, demo, path="/")
