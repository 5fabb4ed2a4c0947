"""What the log of a run says, in the words that the existing front end shows.

The step names are Portuguese because that front end matches them; everything else is in English.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs


class LogStep(StrEnum):
    """The step of the work that a log row is about (SPEC 1)."""

    STARTED = "INICIALIZAÇÃO"
    GENERATED = "GERAÇÃO_IA"
    SPLIT = "FRACIONAMENTO"
    SENT = "ENVIO_WHATSAPP"
    REQUEUED = "RETRY"
    FINISHED = "FINALIZAÇÃO"
    FAILED = "ERRO"
    RATE_LIMITED = "RATE_LIMIT"
    TIMED_OUT = "TIMEOUT"
    OUT_OF_CREDITS = "CREDITOS_INSUFICIENTES"
    BAD_CREDENTIALS = "API_KEY_INVALIDA"
    MODEL_UNAVAILABLE = "MODELO_INDISPONIVEL"
    SENDER_CHANGED = "INSTANCE_SWITCH"


class LogLevel(StrEnum):
    """How much a log row matters to the person who reads it."""

    DEBUG = "debug"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


@attrs.frozen(eq=False)
class LogEntry:
    """One row of a run's log; which run, message and lead it is about is told by the fact that carries it."""

    step: LogStep
    level: LogLevel
    message: str
    details: Mapping[str, Any] = attrs.field(factory=dict)
