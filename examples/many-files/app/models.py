from sqlmodel import Field, SQLModel

import anzol


class Invoice(SQLModel, table=True):
    id: str = Field(primary_key=True)
    amount: int
    paid: bool = False


anzol.outbox_table(SQLModel.metadata)  # beside the app's own tables, for create_all and for Alembic
