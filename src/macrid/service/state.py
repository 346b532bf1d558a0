"""What the routes of a service answer from, opened together and closed together."""

import asyncio
import logging
import os
import signal
from dataclasses import dataclass

from macrid.errors import MacridError
from macrid.service import answers
from macrid.service.background import Background
from macrid.service.batching import Batcher, Room
from macrid.service.holder import Holder
from macrid.service.metrics import Metrics
from macrid.service.settings import ServeSettings
from macrid.service.storage.history import HistoryQuery
from macrid.service.storage.store import Store

_LOG = logging.getLogger("macrid.service")
_STORING = 4  # threads that wait for the database


@dataclass(eq=False)
class Service:
    """What the routes answer from.

    Attributes:
        settings: Of the service.
        holder: Of the model.
        store: Of events and controls.
        histories: Reads somebody's items: the store, or a query of the operator's.
        metrics: Told of what happens.
        lists: Makes plain lists, several at once.
        room: Where all else is worked on that takes long.
        storing: Where the store is waited for.
        behind: Where the map and the dials are worked out.
    """

    settings: ServeSettings
    holder: Holder
    store: Store
    histories: Store | HistoryQuery
    metrics: Metrics
    lists: Batcher[answers.Wanted, answers.Answer]
    room: Room
    storing: Room
    behind: Background

    @classmethod
    def open(cls, settings: ServeSettings) -> "Service":
        """Load the model, open the store.

        Raises:
            ArtifactError: If there is no model to serve.
            StoreError: If the store cannot be used.
        """
        holder, store, metrics = Holder(settings.folder), Store(settings.store_url), Metrics()
        histories: Store | HistoryQuery = store
        if settings.history_query is not None:
            url = settings.history_url or settings.store_url
            histories = HistoryQuery(url, settings.history_query)
        return cls(
            settings=settings,
            holder=holder,
            store=store,
            histories=histories,
            metrics=metrics,
            lists=Batcher(answers.recommend, most=settings.queue, told=metrics.batch.observe),
            room=Room("work", 1, settings.queue),
            storing=Room("store", _STORING, settings.queue),
            behind=Background(),
        )

    async def reload(self) -> bool:
        """Take the model that is in the folder now; whether it is another one.

        Raises:
            ArtifactError: If it cannot be loaded; the old one keeps serving.
        """
        try:
            changed = await asyncio.to_thread(self.holder.reload)
        except MacridError as error:
            self.metrics.reloads.labels("refused").inc()
            _LOG.warning("the model that was there keeps serving: %s", error)
            raise
        self.metrics.reloads.labels("changed" if changed else "same").inc()
        _LOG.info("serving model %s", self.holder.current.digest)
        return changed

    def tell_others(self) -> None:
        """Have the other processes of this service reload, too."""
        if self.settings.workers > 1:
            os.kill(os.getppid(), signal.SIGHUP)

    async def close(self) -> None:
        """Finish what has begun."""
        await self.lists.close()
        self.behind.close()
        for room in (self.room, self.storing):
            await asyncio.to_thread(room.close)
        self.histories.close()
        self.store.close()
