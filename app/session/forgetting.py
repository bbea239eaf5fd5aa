"""Sessions that are gone are forgotten in time, whether or not anybody else comes.

Streamlit lets go of a session that has been disconnected for `server.disconnectedSessionTTL`
seconds only when the next one connects; until then its films are there, and served under their
addresses.
"""

import asyncio
import gc
import logging

from streamlit import runtime

from pipeline.serving.private_log import kind_and_place

log = logging.getLogger(__name__)
EVERY = 10.0  # seconds between two looks


async def forget_in_time(every: float = EVERY) -> None:
    """Look for sessions whose time is over, for as long as the server runs."""
    while True:
        await asyncio.sleep(every)
        try:
            forget_the_gone()
        except Exception as error:  # the next look may find its way
            log.error("forgetting failed: %s", kind_and_place(error))


def forget_the_gone() -> int:
    """End the sessions whose time is over, with their files and pictures; how many there were."""
    running = runtime.get_instance()
    storage = running._session_mgr._session_storage._cache
    expired = [info.session for _id, info in storage.expire()]
    count = len(expired)
    while expired:
        expired.pop().shutdown()
    if count:
        gc.collect()  # films and answers hang together in circles
        # What was there to be downloaded is marked at first, and removed at the second time.
        for _ in range(2):
            running.media_file_mgr.remove_orphaned_files()
    return count
