"""Arrays and records in, pictures and markup out. No streamlit here."""
