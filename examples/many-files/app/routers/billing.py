from fastapi import APIRouter, HTTPException

from app.deps import Outbox, SessionDep
from app.events import InvoicePaid, invoice_paid
from app.models import Invoice

router = APIRouter(prefix="/invoices")


@router.post("", status_code=201)
def create(invoice: Invoice, session: SessionDep) -> Invoice:
    session.add(invoice)
    session.commit()
    session.refresh(invoice)
    return invoice


@router.post("/{invoice_id}/pay")
async def pay(invoice_id: str, session: SessionDep, outbox: Outbox) -> Invoice:
    invoice = session.get(Invoice, invoice_id)
    if invoice is None:
        raise HTTPException(404)
    invoice.paid = True
    await outbox.send(invoice_paid, InvoicePaid(id=invoice.id, amount=invoice.amount))  # in the same session
    session.commit()
    session.refresh(invoice)
    return invoice
