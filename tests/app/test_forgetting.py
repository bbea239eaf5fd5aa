"""Sessions that are gone are forgotten in time."""

import gc
import weakref
from types import SimpleNamespace

import pytest
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from app.session import forgetting


class Session:
    """Stands in for Streamlit's, with what that does when it is shut down."""

    def __init__(self, name: str, media: MediaFileManager, files: MemoryUploadedFileManager):
        self.id, self._media, self._files = name, media, files
        self.itself = self  # a circle, as scripts leave them

    def shutdown(self) -> None:
        self._files.remove_session_files(self.id)
        self._media.clear_session_refs(self.id)
        self._media.remove_orphaned_files()


@pytest.fixture
def running(monkeypatch):
    """A runtime whose one session has a picture, a download and a file, and has disconnected."""
    media = MediaFileManager(MemoryMediaFileStorage("/media"))
    files = MemoryUploadedFileManager("/upload")
    now = [0.0]
    storage = MemorySessionStorage(ttl_seconds=120)
    storage._cache._timer = lambda: now[0]
    monkeypatch.setattr("streamlit.runtime.media_file_manager._get_session_id", lambda: "gone")
    media.add(b"picture", "image/png", "1")
    media.add(b"table", "text/csv", "2", is_for_static_download=True)
    files.add_file("gone", UploadedFileRec("1", "film.png", "image/png", b"film"))
    session = Session("gone", media, files)
    storage.save(SimpleNamespace(session=session))
    manager = SimpleNamespace(_session_storage=storage)
    made = SimpleNamespace(_session_mgr=manager, media_file_mgr=media, uploaded_file_mgr=files)
    monkeypatch.setattr(forgetting.runtime, "get_instance", lambda: made)
    return made, now, weakref.ref(session)


def test_a_gone_session_is_forgotten_though_nobody_comes(running):
    """SECURITY.md: "A session that has been gone for two minutes is forgotten within ten seconds
    more"."""
    made, now, session = running
    assert forgetting.forget_the_gone() == 0
    assert made.media_file_mgr._storage._files_by_id
    now[0] = 121
    assert forgetting.EVERY <= 10
    assert forgetting.forget_the_gone() == 1
    gc.collect()
    assert session() is None
    assert not made.media_file_mgr._storage._files_by_id, "pictures and tables are still served"
    assert not made.uploaded_file_mgr.file_storage
