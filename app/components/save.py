"""Hand a file to the browser at once, in the same press that makes it.

Streamlit's download button fixes what it hands over before it is pressed; here the press comes
first, so that a name typed a moment before is in the file. The bytes travel inside the page's own
connection and are kept nowhere.
"""

import base64
import uuid

import streamlit as st

_mount = st.components.v2.component(
    "pulmoscope_save",
    js="""
const saved = new Set();
export default function ({ data }) {
  if (!data || saved.has(data.id)) return;
  saved.add(data.id);
  const bytes = Uint8Array.from(atob(data.base64), (letter) => letter.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: data.type }));
  link.download = data.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
""",
)


def save(content: bytes, name: str, mime_type: str) -> None:
    """Make the browser download ``content`` as ``name``; call it in the run of the press."""
    text = base64.b64encode(content).decode()
    data = {"id": uuid.uuid4().hex, "base64": text, "name": name, "type": mime_type}
    _mount(data=data, key=f"save_{data['id']}")
