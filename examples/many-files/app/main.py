from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlmodel import SQLModel

from app import events
from app.deps import engine
from app.routers import billing


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    SQLModel.metadata.create_all(engine)
    yield


app = FastAPI(lifespan=lifespan, webhooks=events.router)  # or app.webhooks.include_router(events.router)
app.include_router(billing.router)
events.webhooks.install(app)  # the document, the lifespan, the worker
