"""The inbox page's words, in English and Brazilian Portuguese."""

from __future__ import annotations

from typing import Final, TypedDict


class Words(TypedDict):
    """Every text of the page; a missing one is a type error."""

    language: str
    title: str
    intro: str
    address: str
    copy: str
    copied: str
    clear: str
    live: str
    polling: str
    lost: str
    empty: str
    hint: str
    choose: str
    verified: str
    refused: str
    no_event: str
    signature: str
    signature_holds: str
    body: str
    pretty: str
    raw: str
    headers: str
    cut: str
    no_body: str
    answered: str
    again: str
    received: str
    message: str
    theme: str
    arrivals: str
    missing_header: str
    repeated_header: str
    malformed_id: str
    malformed_timestamp: str
    too_old: str
    too_new: str
    malformed_signature: str
    no_match: str
    no_endpoint: str


ENGLISH: Final[Words] = {
    "language": "en",
    "title": "Test inbox",
    "intro": "What is delivered here, newest first, with its signature checked.",
    "address": "Endpoint URL",
    "copy": "Copy",
    "copied": "Copied",
    "clear": "Clear",
    "live": "Live",
    "polling": "Polling",
    "lost": "Not connected",
    "empty": "Nothing has arrived yet.",
    "hint": "Register this URL for a customer and send; add ?answer=503 to see retries.",
    "choose": "Choose a request to see it whole.",
    "verified": "verified",
    "refused": "not verified",
    "no_event": "no event named",
    "signature": "Signature",
    "signature_holds": "It was signed with this endpoint's secret, and not long ago.",
    "body": "Body",
    "pretty": "Indented",
    "raw": "As it came",
    "headers": "Headers",
    "cut": "Shown in part: the first {shown} of {size} bytes.",
    "no_body": "No body.",
    "answered": "Answered",
    "again": "request {time} for this message",
    "received": "Received",
    "message": "Message",
    "theme": "Theme",
    "arrivals": "Requests",
    "missing_header": "One of the headers webhook-id, webhook-timestamp, webhook-signature is missing.",
    "repeated_header": "A signed header came twice.",
    "malformed_id": "The header webhook-id is not a message's id.",
    "malformed_timestamp": "The header webhook-timestamp is not whole seconds.",
    "too_old": "It was signed more than five minutes ago.",
    "too_new": "It was signed in the future: compare the clocks.",
    "malformed_signature": "The header webhook-signature is not in the form of Standard Webhooks.",
    "no_match": "No signature fits the body: another secret, or other bytes.",
    "no_endpoint": "No endpoint has this URL, so there is no secret to check with.",
}

PORTUGUESE: Final[Words] = {
    "language": "pt-BR",
    "title": "Caixa de teste",
    "intro": "O que chega aqui, do mais novo ao mais antigo, com a assinatura conferida.",
    "address": "URL do endpoint",
    "copy": "Copiar",
    "copied": "Copiado",
    "clear": "Limpar",
    "live": "Ao vivo",
    "polling": "Consultando",
    "lost": "Sem conexão",
    "empty": "Nada chegou ainda.",
    "hint": "Registre esta URL para um cliente e envie; acrescente ?answer=503 para ver novas tentativas.",
    "choose": "Escolha uma requisição para vê-la inteira.",
    "verified": "verificada",
    "refused": "não verificada",
    "no_event": "sem nome de evento",
    "signature": "Assinatura",
    "signature_holds": "Foi assinada com o segredo deste endpoint, há pouco tempo.",
    "body": "Corpo",
    "pretty": "Indentado",
    "raw": "Como chegou",
    "headers": "Cabeçalhos",
    "cut": "Mostrado em parte: os primeiros {shown} de {size} bytes.",
    "no_body": "Sem corpo.",
    "answered": "Resposta",
    "again": "requisição {time} desta mensagem",
    "received": "Recebida",
    "message": "Mensagem",
    "theme": "Tema",
    "arrivals": "Requisições",
    "missing_header": "Falta um dos cabeçalhos webhook-id, webhook-timestamp, webhook-signature.",
    "repeated_header": "Um cabeçalho assinado veio duas vezes.",
    "malformed_id": "O cabeçalho webhook-id não é o id de uma mensagem.",
    "malformed_timestamp": "O cabeçalho webhook-timestamp não é um número inteiro de segundos.",
    "too_old": "Foi assinada há mais de cinco minutos.",
    "too_new": "Foi assinada no futuro: compare os relógios.",
    "malformed_signature": "O cabeçalho webhook-signature não tem a forma de Standard Webhooks.",
    "no_match": "Nenhuma assinatura corresponde ao corpo: outro segredo, ou outros bytes.",
    "no_endpoint": "Nenhum endpoint tem esta URL; não há segredo com que conferir.",
}


def words_for(accept_language: str) -> Words:
    """Return the words for an ``Accept-Language``: Portuguese where it is preferred to English, else English."""
    ranked = sorted((weighed(part) for part in accept_language.split(",")), key=lambda pair: -pair[0])
    for weight, language in ranked:
        if weight > 0 and language.startswith("pt"):
            return PORTUGUESE
        if weight > 0 and language.startswith("en"):
            return ENGLISH
    return ENGLISH


def weighed(part: str) -> tuple[float, str]:
    """Read ``pt-BR;q=0.8``; garbage weighs nothing."""
    language, _, rest = part.strip().partition(";")
    try:
        return (float(rest.strip().removeprefix("q=")) if rest else 1.0), language.strip().lower()
    except ValueError:
        return 0.0, ""
