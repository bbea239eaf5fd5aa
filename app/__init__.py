"""The Streamlit frame: navigation, session, cached inference, language, views."""
